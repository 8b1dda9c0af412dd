"""BCP and CPS with CutMix: methods that paste part of one volume into another."""
