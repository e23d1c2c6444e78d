"""``python -m pylstm``."""

import sys

from pylstm._cli import main

sys.exit(main())
