//! Tables for people.

use crate::report::printable;

/// Columns as wide as their widest cell; the last is as long as it likes. The first row is the heading.
pub(crate) fn of<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let cells = |row: &[String; N]| row.each_ref().map(|cell| printable(cell));
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| {
        lines
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let lines = lines.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn columns_are_aligned_and_steer_no_terminal() {
        let rows = [
            ["a\u{1b}[2J".into(), "x".into()],
            ["long name".into(), "y".into()],
        ];
        assert_eq!(
            of(["NAME", "END"], &rows),
            "NAME       END\na [2J      x\nlong name  y"
        );
    }
}
