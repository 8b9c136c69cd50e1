//! Formats tables as text.

/// Formats rows below a head, with the first column aligned to the left and all others to the right.
pub(crate) fn aligned(head: &[String], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    let width = |nth: usize| all().filter_map(|row| row.get(nth)).map(String::len).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(nth, (cell, &width))| match nth {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    all().map(line).collect()
}
