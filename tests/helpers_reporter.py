"""A reporter that keeps what is said."""

from semiseg.progress import Reporter


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)
