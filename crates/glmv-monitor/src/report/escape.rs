//! Text as HTML.

use std::fmt;

/// A text that is written escaped, for content and for attributes in double quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                '\n' | '\t' => write!(out, "{char}")?,
                // Not allowed in HTML, and marks of direction that would reorder what stands beside.
                char if char.is_control() => out.write_str("\u{fffd}")?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.write_str("\u{fffd}")?,
                char => write!(out, "{char}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_opens_a_tag_or_ends_an_attribute() {
        let shown = Text("</pre><script>\"a\" & 'b'\0\u{202e}\r").to_string();
        let expected = "&lt;/pre&gt;&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;\
                        \u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(shown, expected);
    }
}
