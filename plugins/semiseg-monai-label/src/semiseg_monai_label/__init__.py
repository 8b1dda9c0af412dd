"""MONAI Label's server for runs of semiseg: the next case by its rules, proposals, and labels that it can adopt."""
