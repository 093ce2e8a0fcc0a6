package shares

import (
	"testing"

	"github.com/weirflow/weir/test/processes"
)

func TestMain(m *testing.M) { processes.Main(m) }
