package app

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/internal/build"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print which build this is",
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := build.Read()
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(info)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine(info))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// versionLine is a build in one line.
func versionLine(info build.Info) string {
	words := []string{"weir", info.Version}
	if info.Program != "" {
		words = append(words, "in", info.Program)
	}
	if info.Revision != "" {
		revision := "revision " + info.Revision[:min(12, len(info.Revision))]
		if info.Modified {
			revision += ", modified"
		}
		words = append(words, "("+revision+")")
	}
	return strings.Join(append(words, info.Go, info.Platform), " ")
}
