//! Tables in Markdown. Pure.

/// A row of a table.
#[must_use]
pub fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a table with these columns.
#[must_use]
pub fn head(columns: &[&str]) -> String {
    row(columns) + &row(&vec!["---"; columns.len()])
}

/// A text as a cell: on one line, not read as HTML or emphasis outside of its code spans, and without the end of a cell.
#[must_use]
pub fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let escaped = |(position, part): (usize, &str)| {
        let is_code = position % 2 == 1;
        if is_code { part.to_owned() } else { part.replace('<', "&lt;").replace('*', "\\*") }
    };
    text.split('`').enumerate().map(escaped).collect::<Vec<_>>().join("`")
}

/// A text as a code span in a cell.
#[must_use]
pub fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Words as code spans, with commas.
#[must_use]
pub fn codes<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_code_and_ends_nowhere_else() {
        assert_eq!(cell("a <b> * | `<name>-*`\n\n c"), "a &lt;b> \\* \\| `<name>-*` c");
        assert_eq!(code("^(a|b)$"), "`^(a\\|b)$`");
        assert_eq!(head(&["a", "b"]), "| a | b |\n| --- | --- |\n");
    }
}
