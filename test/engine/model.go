package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
)

// The size of the model: large enough that a token takes the better part of a millisecond.
const (
	hidden      = 256
	layers      = 4
	heads       = 8
	feedForward = 512
	contextSize = 8192
)

// ggufAlignment is what tensors begin at a multiple of in a GGUF file.
const ggufAlignment = 32

// The kinds of tokens of a SentencePiece vocabulary.
const (
	normalToken  int32 = 1
	unknownToken int32 = 2
	controlToken int32 = 3
	byteToken    int32 = 6
)

// WriteModel writes a Llama model of random weights, in the GGUF format.
func WriteModel(path string) error {
	var w gguf
	w.vocabulary()
	for key, n := range map[string]uint32{
		"context_length": contextSize, "embedding_length": hidden, "block_count": layers, "feed_forward_length": feedForward,
		"attention.head_count": heads, "attention.head_count_kv": heads, "rope.dimension_count": hidden / heads,
		"vocab_size": uint32(w.tokens), //nolint:gosec // some hundreds
	} {
		w.set("llama."+key, n)
	}
	w.set("general.architecture", "llama")
	w.set("general.name", "random")
	w.set("llama.attention.layer_norm_rms_epsilon", float32(1e-5))

	w.matrix("token_embd.weight", w.tokens, hidden)
	w.ones("output_norm.weight")
	w.matrix("output.weight", w.tokens, hidden)
	for i := range layers {
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
		w.ones(name("attn_norm"))
		w.ones(name("ffn_norm"))
		for _, part := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
			w.matrix(name(part), hidden, hidden)
		}
		w.matrix(name("ffn_gate"), feedForward, hidden)
		w.matrix(name("ffn_up"), feedForward, hidden)
		w.matrix(name("ffn_down"), hidden, feedForward)
	}
	return os.WriteFile(path, w.file(), 0o600)
}

// gguf is a file in the making.
type gguf struct {
	values, tensors, data bytes.Buffer
	valueCount, count     uint64
	tokens                int
	random                *rand.Rand
}

// put writes numbers as they are, and strings after their length.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if text, ok := v.(string); ok {
			put(b, uint64(len(text)))
			b.WriteString(text)
			continue
		}
		_ = binary.Write(b, binary.LittleEndian, v) // of a fixed size
	}
}

// set adds a value of the file's head.
func (w *gguf) set(key string, value any) {
	w.valueCount++
	const array = 9
	put(&w.values, key)
	switch v := value.(type) {
	case []string:
		put(&w.values, uint32(array), typeOf(""), uint64(len(v)))
		for _, text := range v {
			put(&w.values, text)
		}
	case []float32:
		put(&w.values, uint32(array), typeOf(float32(0)), uint64(len(v)), v)
	case []int32:
		put(&w.values, uint32(array), typeOf(int32(0)), uint64(len(v)), v)
	default:
		put(&w.values, typeOf(value), value)
	}
}

// typeOf is the number of a type of values.
func typeOf(value any) uint32 {
	switch value.(type) {
	case uint32:
		return 4
	case int32:
		return 5
	case float32:
		return 6
	case string:
		return 8
	}
	panic(fmt.Sprintf("a value of type %T", value))
}

// vocabulary adds one that can write any text: all bytes, letters and some syllables.
func (w *gguf) vocabulary() {
	tokens, kinds := []string{"<unk>", "<s>", "</s>"}, []int32{unknownToken, controlToken, controlToken}
	for i := range 256 {
		tokens, kinds = append(tokens, fmt.Sprintf("<0x%02X>", i)), append(kinds, byteToken)
	}
	words := len(tokens)
	const space, letters = "\u2581", "abcdefghijklmnopqrstuvwxyz"
	tokens = append(tokens, space)
	for _, l := range letters {
		tokens = append(tokens, string(l), space+string(l))
		for _, vowel := range "aeiou" {
			tokens = append(tokens, string(l)+string(vowel))
		}
	}
	scores := make([]float32, len(tokens))
	for i := words; i < len(tokens); i++ {
		kinds, scores[i] = append(kinds, normalToken), -float32(i-words)
	}
	w.tokens = len(tokens)
	w.set("tokenizer.ggml.model", "llama")
	w.set("tokenizer.ggml.tokens", tokens)
	w.set("tokenizer.ggml.scores", scores)
	w.set("tokenizer.ggml.token_type", kinds)
	w.set("tokenizer.ggml.unknown_token_id", uint32(0))
	w.set("tokenizer.ggml.bos_token_id", uint32(1))
	w.set("tokenizer.ggml.eos_token_id", uint32(2))
}

// matrix adds one that keeps the length of what it is multiplied with, on average.
func (w *gguf) matrix(name string, rows, columns int) {
	if w.random == nil {
		w.random = rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same model always
	}
	values := make([]float32, rows*columns)
	for i := range values {
		values[i] = float32(w.random.NormFloat64() / math.Sqrt(float64(columns)))
	}
	w.tensor(name, values, columns, rows)
}

// ones adds a vector of ones.
func (w *gguf) ones(name string) {
	values := make([]float32, hidden)
	for i := range values {
		values[i] = 1
	}
	w.tensor(name, values, hidden)
}

// tensor adds one of 32-bit numbers, with its sizes from the innermost on.
func (w *gguf) tensor(name string, values []float32, sizes ...int) {
	const float32s = 0
	w.count++
	put(&w.tensors, name, uint32(len(sizes))) //nolint:gosec // one or two
	for _, n := range sizes {
		put(&w.tensors, uint64(n)) //nolint:gosec // not negative
	}
	put(&w.tensors, uint32(float32s), uint64(w.data.Len())) //nolint:gosec // not negative
	put(&w.data, values)
	align(&w.data)
}

// file is the whole of it.
func (w *gguf) file() []byte {
	const version = 3
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(version), w.count, w.valueCount, w.values.Bytes(), w.tensors.Bytes())
	align(&b)
	b.Write(w.data.Bytes())
	return b.Bytes()
}

func align(b *bytes.Buffer) {
	for b.Len()%ggufAlignment != 0 {
		b.WriteByte(0)
	}
}
