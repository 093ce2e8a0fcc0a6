package gossip

import (
	"io"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirflow/weir/coordinator"
)

// note logs who came and went.
func (f *Fleet) note(before, now coordinator.Members) {
	known := func(ms []coordinator.Member, id string) bool {
		return slices.ContainsFunc(ms, func(m coordinator.Member) bool { return m.ID == id })
	}
	for _, m := range now.Live {
		if m.ID != f.cfg.Replica && !known(before.Live, m.ID) {
			f.cfg.Logger.Info("a replica joined", zap.String("peer", m.ID), zap.String("address", m.Address))
		}
	}
	for _, m := range now.Live {
		if i := slices.IndexFunc(before.Live, func(b coordinator.Member) bool { return b.ID == m.ID }); m.Differs != "" && (i < 0 || before.Live[i].Differs != m.Differs) {
			f.cfg.Logger.Warn("a replica's settings differ from this one's: they decide for one pool by different rules",
				zap.String("peer", m.ID), zap.String("settings", m.Differs))
		}
	}
	for _, a := range now.Apart {
		if !slices.Contains(before.Apart, a) {
			f.cfg.Logger.Warn("a replica keeps another ledger, so that it shares neither queues nor limits with this one: give both the same --redis, --redis-prefix and --pool, or one of them another --fleet",
				zap.String("peer", a.ID), zap.String("its_pool", a.Ledger.Pool), zap.String("its_prefix", a.Ledger.Prefix),
				zap.String("pool", f.cfg.Ledger.Pool), zap.String("prefix", f.cfg.Ledger.Prefix))
		}
	}
	for _, m := range before.Live {
		if !known(now.Live, m.ID) {
			f.cfg.Logger.Info("a replica is gone", zap.String("peer", m.ID), zap.Bool("died", slices.Contains(now.Dead, m.ID)))
		}
	}
}

// seldom has each kind of line written ten times in ten seconds at most: strangers may cause any
// number of them.
func seldom(core zapcore.Core) zapcore.Core {
	return zapcore.NewSamplerWithOptions(core, 10*time.Second, 10, 0)
}

// logWriter puts memberlist's lines into the log, at their own level. What a line is about is
// its message, and whom it is about a field.
type logWriter struct{ *zap.Logger }

var _ io.Writer = logWriter{}

func (w logWriter) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	text := line
	if _, after, ok := strings.Cut(line, "] "); ok {
		text = after
	}
	text, detail := parted(text)
	level := zap.DebugLevel
	switch {
	case strings.HasPrefix(line, "[ERR]"):
		level = zap.WarnLevel
	case strings.HasPrefix(line, "[WARN]"), strings.HasPrefix(line, "[INFO]"):
		level = zap.InfoLevel
	}
	w.Log(level, text, zap.String("detail", detail))
	return len(p), nil
}

// parted divides one of memberlist's lines, "memberlist: Failed to ...: cause from=address",
// into what it is about and the rest.
func parted(line string) (kind, detail string) {
	head := "memberlist: "
	if !strings.HasPrefix(line, head) {
		head = ""
	}
	rest := line[len(head):]
	i := strings.IndexAny(rest, ":=\"0123456789(")
	if i < 0 {
		return line, ""
	}
	return strings.TrimRight(line[:len(head)+i], " :"), strings.TrimLeft(rest[i:], ": ")
}
