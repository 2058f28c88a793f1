"""Medians, spread, ratios to the limits, and the comparison of two results."""
import statistics

from measures import FIGURES


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}


def result(machine, values, rounds):
    """A ratio is taken in each round, of neighbours in time, and then its median."""
    figures = {}
    for name, taken in values.items():
        figures[name] = summary(taken)
        figures[name]["shares"] = {limit: summary([a / b for a, b in zip(taken, values[limit])])
                                   for limit in FIGURES[name].limits if limit in values}
    return {"machine": machine, "rounds": rounds, "figures": {name: figures[name] for name in FIGURES if name in figures}}


def number(v):
    return f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.3g}"


def spread(f, form=number):
    return f"{form(f['median']):>10} {form(f['min']):>10} {form(f['max']):>10}"


def table(result):
    m = result["machine"]
    print(f"{m['processors']} processors ({m['model']}), load {m['load']:.1f} before; medians of {result['rounds']} rounds,"
          " taken in turn")
    print(f"{'figure':22} {'median':>10} {'least':>10} {'most':>10}  what")
    for name, f in result["figures"].items():
        row = FIGURES[name]
        print(f"{name:22} {spread(f)}  {row.unit + ': ' if row.unit else ''}{row.what}")
        for limit, share in f["shares"].items():
            print(f"{'':22} {spread(share, '{:.2f}'.format)}  of {limit}")
    for who, calls in result.get("syscalls_a_task", {}).items():
        print(f"{who}: " + ", ".join(f"{name} {n:.2f}" for name, n in calls.items()) + " a task")


def verdict(more_is_better, old, new):
    """Better or worse only when the spreads do not meet; of what is neither, nothing is said."""
    if more_is_better is None:
        return ""
    if new["min"] > old["max"]:
        return "better" if more_is_better else "WORSE"
    if new["max"] < old["min"]:
        return "WORSE" if more_is_better else "better"
    return "within the noise"


def compare_line(name, more_is_better, old, new, form=number):
    ratio = new["median"] / old["median"] if old["median"] else float("nan")
    print(f"{name:22} {form(old['median']):>10} {form(new['median']):>10} {ratio:>9.2f}  {verdict(more_is_better, old, new)}")


def compare(old, new):
    """The shares of the limits are what says something between machines, and between hours on a shared one."""
    print(f"\nagainst {old['machine']['time']}: the load was {old['machine']['load']:.1f}, is {new['machine']['load']:.1f};"
          " spreads that meet are noise")
    print(f"{'figure':22} {'was':>10} {'is':>10} {'is / was':>9}")
    for name in (n for n in new["figures"] if n in old["figures"]):
        a, b, more = old["figures"][name], new["figures"][name], FIGURES[name].more_is_better
        compare_line(name, more, a, b)
        for limit in (n for n in b["shares"] if n in a["shares"]):
            compare_line("  of " + limit, more, a["shares"][limit], b["shares"][limit], "{:.2f}".format)
