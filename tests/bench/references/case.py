"""case.py: what a comparison is. A case makes rows, says how Millrace and how the reference treat them, and reads one number
from both that tells how good the outcome is."""
import numpy as np


class Case:
    component = ""  # of Millrace
    title = ""      # the reference program and its function
    measure = ""    # what `quality` is
    most = 0        # rows beyond which the reference is not asked; 0: any
    options = ()    # of the component, NAME=VALUE
    roles = ()      # ROLE=COLUMN
    flags = ()      # of `millrace try`
    modules = ()    # that the reference imports; their loading is not counted
    file = "rows.csv"

    @property
    def name(self):
        return type(self).__name__

    def write(self, folder, n):
        """Makes `file` with n rows."""
        raise NotImplementedError

    def arguments(self, folder):
        out = ["--input", f"{folder}/{self.file}", *self.flags]
        for o in self.options:
            out += ["--set", o]
        for r in self.roles:
            out += ["--role", r]
        return out

    def commands(self, folder, n):
        """The arguments of each `millrace-worker try`, which run one after the other; the seconds of all count."""
        return [self.arguments(folder)]

    def quality(self, result, folder):
        """From the component's last result."""
        raise NotImplementedError

    def quality_of(self, results, folder):
        """From the results of the last command, one for each merge or batch."""
        return self.quality(results[-1], folder)

    def command(self, folder):
        """Another program that prints {"s": seconds, "quality": number}; None: `read` and `reference` are called."""
        return None

    def read(self, folder):
        return np.loadtxt(f"{folder}/{self.file}", delimiter=",", skiprows=1)

    def reference(self, rows):
        """The quality; its processor time is what counts."""
        raise NotImplementedError


def save(path, columns, names, form="%.8g"):
    np.savetxt(path, columns, delimiter=",", header=",".join(names), comments="", fmt=form)


def blobs(n, groups, width, seed, spread=4.0):
    """Rows in `groups` normal groups, and their groups."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, groups, n)
    return rng.normal(0, spread, (groups, width))[of] + rng.normal(size=(n, width)), of
