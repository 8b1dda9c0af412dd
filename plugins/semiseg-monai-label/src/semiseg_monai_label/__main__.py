"""``python -m semiseg_monai_label``."""

from semiseg_monai_label.cli import main

main()
