"""BCP, SDCL and CPS with CutMix: methods that paste part of one image into another."""
