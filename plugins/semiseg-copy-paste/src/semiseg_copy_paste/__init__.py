"""BCP and CPS with CutMix: methods that paste a part of one volume into another."""
