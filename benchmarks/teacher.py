"""What the graph teacher learned and how long each part took, read from its bank, as one result file.

Run it on the machine that built the bank, in one go and with nothing else running: the minutes are the bank's own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, default=Path("build/bank"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "teacher.json")
    args = parser.parse_args()

    from kogner.teacher.bank import Bank, summary

    bank = Bank.open(args.bank)
    result = summary(bank)
    missing = [name for name in ("unimp", "transr") if not result[name]]
    missing += [f"minutes of {name}" for name, minutes in result["minutes"].items() if minutes is None]
    if missing:
        raise SystemExit(f"{args.bank} does not say: {', '.join(missing)}; give a bank of `kogner teacher build`")
    result |= {"features": bank.artifact.metrics["features"], "settings": bank.artifact.recipe["teacher"]}
    record.write(args.out, result | {"built": bank.artifact.created})
    print(json.dumps({"out": str(args.out), "hash": result["hash"], "minutes": result["minutes"]}))


if __name__ == "__main__":
    main()
