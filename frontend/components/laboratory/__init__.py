"""The views of the laboratory, each a question with its answer first."""
