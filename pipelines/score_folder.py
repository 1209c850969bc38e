"""Score every image below a folder with a fitted model, into one table."""

import argparse

import featad
from pipelines._recipe import run


def main(argv=None):
    """Write a row for every image: path, anomaly_score, threshold, is_anomaly, ..."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a file written by featad.save")
    parser.add_argument("folder", help="images, also in folders below it")
    parser.add_argument("-o", "--output", required=True, help=".csv, .parquet, .jsonl")
    args = parser.parse_args(argv)

    system = featad.load(args.model)
    summary = featad.score_to_file(system, featad.list_images(args.folder), args.output)
    print(
        f"Scored {summary.scored} images, {summary.anomalous} of them anomalous; "
        f"{summary.failed} could not be scored. Wrote {args.output}."
    )


if __name__ == "__main__":
    run(main)
