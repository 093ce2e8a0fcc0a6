package app

import (
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirflow/weir/internal/lines"
)

// What the flags take.
var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"console", "json"}
)

// newLogger returns the logger that the flags ask for. It writes to standard error, and nobody who
// logs waits for whoever reads that.
func newLogger(level, format string) (*zap.Logger, error) {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil || !slices.Contains(logLevels, level) {
		return nil, fmt.Errorf("--log-level %q: must be debug, info, warn or error", level)
	}
	fields := zap.NewProductionEncoderConfig()
	fields.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	var encoder zapcore.Encoder
	switch format {
	case "json":
		encoder = zapcore.NewJSONEncoder(fields)
	case "console":
		fields.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder = zapcore.NewConsoleEncoder(fields)
	default:
		return nil, fmt.Errorf("--log-format %q: must be console or json", format)
	}
	var log *zap.Logger
	to := lines.New(os.Stderr, lines.Config{Lost: func(n uint64) {
		log.Warn("lines of this log were lost, as nobody took them", zap.Uint64("lines", n))
	}})
	log = zap.New(zapcore.NewCore(encoder, to, parsed))
	return log, nil
}
