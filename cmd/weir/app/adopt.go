package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// newAdopt splits a file of today's Endpoint Pickers.
func newAdopt(registry *policies.Registry) *cobra.Command {
	s := newSettings(registry)
	var out string
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     "adopt FILE",
		Short:   "Say what Weir would do with a file of today's Endpoint Pickers",
		Long: `Say what Weir would do with a file of today's Endpoint Pickers whose picker
stays, and print the two files that result: the picker's with its flow control
off, and Weir's. The flags of weir serve may be given, too.`,
		Example: `  weir adopt epp.yaml --picker epp:9002
  weir adopt epp.yaml --picker epp:9002 --out .`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s: weir adopt FILE", oneFile(len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return s.adopt(cmd, args[0], out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for picker.yaml and weir.yaml, instead of printing them")
	must(cmd.MarkFlagDirname("out"))
	s.add(cmd)
	return cmd
}

func (s *settings) adopt(cmd *cobra.Command, file, out string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	a, warnings, err := config.Adopt(data, config.Options{Registry: s.registry, Flags: s.flags, IgnoreFiles: true})
	if err != nil {
		var problems config.Problems
		if errors.As(err, &problems) {
			for i := range problems {
				problems[i].File = file
			}
		}
		return err
	}
	w := cmd.OutOrStdout()
	report(w, a)
	for _, warning := range warnings {
		if warning.Path != "plugins" { // which names what the picker keeps, as above
			comment(w, "note: %s", warning)
		}
	}
	for _, f := range []struct {
		name, what string
		text       []byte
	}{{"picker.yaml", "the picker's file, with its flow control off", a.Picker}, {"weir.yaml", "Weir's file", a.Weir}} {
		if out == "" {
			fmt.Fprintln(w, "---")
			comment(w, "%s: %s", f.name, f.what)
			fmt.Fprintf(w, "%s", f.text)
			continue
		}
		path := filepath.Join(out, f.name)
		if err := os.WriteFile(path, f.text, 0o600); err != nil {
			return err
		}
		comment(w, "%s: %s", path, f.what)
	}
	return nil
}

// comment prints a comment of YAML, in lines of so many columns as help has.
func comment(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, wrapped("# "+fmt.Sprintf(format, args...), columns, "#   "))
}

// report says what Weir does, in comments.
func report(w io.Writer, a *config.Adoption) {
	fc := &a.Plan.File.FlowControl
	comment(w, "Weir holds requests until the pool has room by the %s.", a.Plan.Detector.TypedName().Type)
	comment(w, "In all %s and %s may wait.", most(int64(fc.MaxRequests), "requests"), most(int64(fc.MaxBytes), "bytes"))
	for _, priority := range slices.Backward(priorities(a.Plan.Bands)) {
		band(w, fmt.Sprintf("Priority %d", priority), a.Plan.Bands[priority])
	}
	band(w, "Other priorities from 0", a.Plan.Default)
	band(w, "Other priorities below 0", a.Plan.Negative)
	if fc.EnableEviction {
		comment(w, "It ends sheddable requests in flight for higher priorities.")
	}
	if len(a.Kept) > 0 {
		comment(w, "The picker keeps: %s.", strings.Join(a.Kept, ", "))
	}
	if a.Unnamed {
		comment(w, "No picker is named: put its address in the place of %s in weir.yaml, or give it by --picker.", config.AssumedPicker)
	}
	if a.Unlocated {
		comment(w, "Say where the model servers are, such as by weir serve --inference-pool NAMESPACE/NAME.")
	}
	if host, _, err := net.SplitHostPort(a.Plan.File.Weir.Admin); err == nil && host != "" && net.ParseIP(host).IsLoopback() {
		comment(w, "Probes and Prometheus come to weir.admin, which is %s here; from other hosts they need another, such as --admin :9090.", a.Plan.File.Weir.Admin)
	}
}

func band(w io.Writer, what string, b shard.BandConfig) {
	wait := "for ever"
	if b.TTL != nil && *b.TTL > 0 {
		wait = "up to " + time.Duration(*b.TTL).String()
	}
	comment(w, "%s: %s and %s may wait, each %s; %s, %s.",
		what, most(b.MaxRequests, "requests"), most(b.MaxBytes, "bytes"), wait, b.Fairness.TypedName().Type, b.Ordering.TypedName().Type)
}

func most(n int64, of string) string {
	if n == 0 {
		return "any number of " + of
	}
	return config.Quantity(n).String() + " " + of
}

func priorities(bands map[int]shard.BandConfig) []int {
	var all []int
	for p := range bands {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}
