//! Examples and exit codes at the end of each help text.

pub(crate) const BMPGEN: &str = "\
Examples:
  bmpgen table --to 127.0.0.1:11019 --prefixes 1000 --duration 60
  bmpgen replay session.bmp.gz --to 127.0.0.1:11019

Exit codes:
  0  success
  1  the rows differ from the ground truth (compare)
  2  failed; or invalid arguments";

pub(crate) const REPLAY: &str = "\
Example:
  bmpgen replay edge1.bmp.gz edge2.bmp.gz --parallel --rate 500 --to 127.0.0.1:11019

Exit codes:
  0  everything was sent
  2  failed; or invalid arguments";

pub(crate) const TABLE: &str = "\
Examples:
  bmpgen table --to 127.0.0.1:11019 --prefixes 1000 --churn 10 --duration 60
  bmpgen table --prefixes 1000 --out table.bmp --truth truth.jsonl

Exit codes:
  0  everything was sent
  2  failed; or invalid arguments";

pub(crate) const COMPARE: &str = "\
Example:
  bmpgen compare --rows rows.jsonl --truth truth.jsonl

Exit codes:
  0  the rows are equal to the ground truth
  1  they differ; the differences are printed
  2  failed; or invalid arguments";
