//! A page of text for people, put together before it is printed: fields, sections, tables, indented lines.
//!
//! Must not know: where it goes, and what the words mean. Read first: [`Page`].

use std::fmt::Write;

/// A page of text.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// A line.
    pub(crate) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Names and values below each other, the values in one column.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
        for (name, value) in fields {
            self.line(&format!("{:width$}  {value}", format!("{name}:")));
        }
    }

    /// The head of a section, with a line of air above it.
    pub(crate) fn section(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.line("");
        }
        self.line(&format!("{name}:"));
    }

    /// Columns under their names, as wide as their widest cell. Each row has a cell per column.
    pub(crate) fn table(&mut self, columns: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([columns[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let head: Vec<String> = columns.iter().map(|c| c.to_uppercase()).collect();
        for cells in [&head].into_iter().chain(rows) {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            self.line(&line);
        }
    }

    /// The page without the end of its last line.
    pub(crate) fn text(&self) -> &str {
        self.text.trim_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail() {
        let mut page = Page::default();
        page.fields(&[("Name", "main".to_owned()), ("Leader", String::new())]);
        page.section("Members");
        page.table(
            &["id", "role"],
            &[vec!["0".to_owned(), "leader".to_owned()], vec!["10".to_owned(), "-".to_owned()]],
        );
        let text = "Name:    main\nLeader:\n\nMembers:\nID  ROLE\n0   leader\n10  -";
        assert_eq!(page.text(), text);
    }
}
