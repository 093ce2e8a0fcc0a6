package app

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirflow/weir/internal/duration"
	"github.com/weirflow/weir/internal/suggest"
)

// flagError says what is wrong with a flag, and what was meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case cmd.HasSubCommands() && cmd.Flags().NArg() > 0: // its flags are those of a command that there is not
		return noCommand(cmd, cmd.Flags().Arg(0))
	case errors.As(err, &unknown) && ofPicker(cmd.Flags(), unknown.GetSpecifiedName()) != "":
		typed := unknown.GetSpecifiedName()
		dashes := "--"[:min(2, len(typed))]
		return fmt.Errorf("%s%s: no such flag; %s", dashes, typed, ofPicker(cmd.Flags(), typed))
	case errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1:
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		typed := unknown.GetSpecifiedName()
		if meant := suggest.Closest(typed, names); meant != "" {
			return fmt.Errorf("--%s: no such flag; did you mean --%s?", typed, meant)
		}
		return fmt.Errorf("--%s: no such flag; see %s --help", typed, cmd.CommandPath())
	case errors.As(err, &unknown):
		return fmt.Errorf("-%s: no such flag; see %s --help", unknown.GetSpecifiedName(), cmd.CommandPath())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %q: must be %s", invalid.GetFlag().Name, invalid.GetValue(), kindOf(invalid.GetFlag()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s: give its value, too; see %s --help", missing.GetSpecifiedName(), cmd.CommandPath())
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// kindOf says what a flag takes.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "duration":
		return "a time with its unit, such as 60s or 250ms"
	case "time":
		return "a time with its unit, such as 90s, 10m, 2h or 7d"
	case "bool":
		return "true or false"
	}
	return "a " + f.Value.Type()
}

// longTime is a flag's time that may be in days, such as 7d or 1d12h. It implements
// pflag.Value.
type longTime time.Duration

var errTime = errors.New("no time")

// inDays is a time that begins with days.
var inDays = regexp.MustCompile(`^(\d+(?:\.\d+)?)d(.*)$`)

// Set implements pflag.Value.
func (l *longTime) Set(text string) error {
	rest, days := text, 0.0
	if m := inDays.FindStringSubmatch(text); m != nil {
		rest = m[2]
		var err error
		if days, err = strconv.ParseFloat(m[1], 64); err != nil || days > math.MaxInt16 {
			return errTime
		}
		if rest == "" {
			rest = "0s"
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return errTime
	}
	*l = longTime(d + time.Duration(days*24*float64(time.Hour)))
	return nil
}

// String implements pflag.Value.
func (l *longTime) String() string {
	if *l == 0 {
		return ""
	}
	return duration.Short(time.Duration(*l))
}

// Type implements pflag.Value: what help calls the value.
func (l *longTime) Type() string { return "time" }

// given wants one of these flags at least, to say what.
func given(cmd *cobra.Command, what string, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return nil
		}
	}
	give := "give --"
	if len(names) > 1 {
		give = "give at least one of --"
	}
	return fmt.Errorf("%s: %s: %s%s", cmd.CommandPath(), what, give, strings.Join(names, ", --"))
}
