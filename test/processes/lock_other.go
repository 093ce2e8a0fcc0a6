//go:build !unix

package processes

import "os"

// lock does nothing where files cannot be locked so.
func lock() (*os.File, error) { return nil, nil } //nolint:nilnil // there is nothing to close
