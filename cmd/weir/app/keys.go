package app

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
)

// shownDigits is how much of a key's hash names it.
const shownDigits = 12

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Make, list, revoke and check API keys", GroupID: groupRun,
		Long: "Keeps a file of API keys, as weir.identity.apiKeys names it. The file has their hashes only. Replicas read it again when it changes, within a second or two.",
	}
	cmd.AddCommand(newKeysNew(), newKeysList(), newKeysRevoke(), newKeysCheck())
	return cmd
}

// keyFile gives a command the flag for the file.
func keyFile(cmd *cobra.Command) *string {
	file := cmd.Flags().String("file", "keys.yaml", "file of API keys")
	must(cmd.MarkFlagFilename("file"))
	return file
}

func newKeysNew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new --flow FLOW", Short: "Make a key for a flow, and print it this once",
		Example: "  weir keys new --flow team-a --file keys.yaml",
	}
	file := keyFile(cmd)
	flow := cmd.Flags().String("flow", "", "flow that the key stands for")
	weight := cmd.Flags().Float64("weight", 0, "the flow's share; what is configured by default")
	highest := cmd.Flags().Int("max-priority", 0, "highest priority of its requests; none by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *flow == "" {
			return fmt.Errorf("--flow: name the flow that the key stands for, such as team-a")
		}
		if cmd.Flags().Changed("weight") && !(*weight > 0 && *weight <= 1e6) {
			return fmt.Errorf("--weight %v: must be above 0 and at most 1000000", *weight)
		}
		key, entry := config.NewKey(*flow)
		entry.Weight = *weight
		if cmd.Flags().Changed("max-priority") {
			entry.MaxPriority = highest
		}
		if err := config.AddKey(*file, entry); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has the hash %s; the key is shown this once:\n", *file, entry.SHA256[:shownDigits])
		fmt.Fprintln(cmd.OutOrStdout(), key)
		return nil
	}
	return cmd
}

func newKeysList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the keys by the begin of their hashes"}
	file := keyFile(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print them as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, problems := config.ReadKeys(*file)
		if len(problems) > 0 {
			return problems
		}
		type shown struct {
			Key  string `json:"key"`
			Flow string `json:"flow"`
		}
		all, t := make([]shown, 0, len(keys)), table{{"KEY", "FLOW"}}
		for _, k := range keys {
			all = append(all, shown{k.SHA256[:shownDigits], k.Flow})
			t.add(k.SHA256[:shownDigits], k.Flow)
		}
		if *asJSON {
			return printJSON(cmd, all)
		}
		fmt.Fprint(cmd.OutOrStdout(), t)
		return nil
	}
	return cmd
}

func newKeysRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke KEY", Short: "Take a key out of the file, by the begin of its hash",
		Example: "  weir keys revoke 3f5a9c01d2e4 --file keys.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || len(args[0]) < 6 {
				return fmt.Errorf("%s: name one key by at least 6 digits of its hash, as %s list shows it", cmd.CommandPath(), cmd.Parent().CommandPath())
			}
			return nil
		},
	}
	file := keyFile(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, problems := config.ReadKeys(*file)
		if len(problems) > 0 {
			return problems
		}
		var found []config.Key
		for _, k := range keys {
			if strings.HasPrefix(k.SHA256, strings.ToLower(args[0])) {
				found = append(found, k)
			}
		}
		switch len(found) {
		case 0:
			return &exitError{exitNotFound, fmt.Errorf("%s: no key begins with %s", *file, args[0])}
		case 1:
		default:
			return fmt.Errorf("%s: %d keys begin with %s: give more digits", *file, len(found), args[0])
		}
		if err := config.RemoveKey(*file, found[0].SHA256); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "the key %s of %s is no longer in %s\n", found[0].SHA256[:shownDigits], plain(found[0].Flow), *file)
		return nil
	}
	return cmd
}

func newKeysCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Say which flow a key stands for, read from standard input",
		Long: "Reads a key from standard input, where it is in no history, and says which flow it stands for. It ends with code 3 if the file does not have it.",
	}
	file := keyFile(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, problems := config.ReadKeys(*file)
		if len(problems) > 0 {
			return problems
		}
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if key := strings.TrimSpace(line); key != "" {
			hash := config.HashKey(key)
			for _, k := range keys {
				if strings.EqualFold(k.SHA256, hash) {
					fmt.Fprintf(cmd.OutOrStdout(), "it stands for the flow %s\n", plain(k.Flow))
					return nil
				}
			}
			return &exitError{exitNotFound, fmt.Errorf("%s does not have the key", *file)}
		}
		return fmt.Errorf("give the key on standard input: %w", err)
	}
	return cmd
}
