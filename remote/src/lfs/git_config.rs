//! Git's configuration files (git-config(1)), as far as Git LFS needs them: sections, keys, quotes, comments. `include` and
//! `insteadOf` are not followed.

/// The keys and values of one file, in order.
#[derive(Default)]
pub(super) struct GitConfig(Vec<(String, String)>);

impl GitConfig {
    /// Parses a file. Lines with a syntax error are left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut values = Vec::new();
        let mut section = String::new();
        let joined = text.replace("\r\n", "\n").replace("\\\n", "");
        for line in joined.lines() {
            let mut line = line.trim_start();
            if let Some(inner) = line.strip_prefix('[') {
                let Some((name, rest)) = section_name(inner) else { continue };
                section = name;
                line = rest.trim_start();
            }
            if line.is_empty() || line.starts_with(['#', ';']) || section.is_empty() {
                continue;
            }
            let (key, text) = line.split_once('=').unwrap_or((line, "true"));
            let key = key.trim().to_ascii_lowercase();
            if let Some(value) = parse_value(text.trim_start()) {
                values.push((format!("{section}.{key}"), value));
            }
        }
        Self(values)
    }

    /// The last value of a key, written as `section.name.key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The name of the remote that is used: `origin`, or the only one.
    pub(super) fn default_remote(&self) -> Option<&str> {
        let mut names: Vec<&str> =
            self.0.iter().filter_map(|(key, _)| key.strip_prefix("remote.")?.strip_suffix(".url")).collect();
        names.dedup();
        if names.contains(&"origin") || names.is_empty() {
            Some("origin")
        } else {
            names.pop().filter(|_| names.is_empty())
        }
    }
}

/// Parses the text behind `[`: the section, with its subsection in the case of the file, and the rest of the line.
fn section_name(inner: &str) -> Option<(String, &str)> {
    let end = inner.find([']', '"'])?;
    let (name, rest) = inner.split_at(end);
    let name = name.trim().to_ascii_lowercase();
    let Some(quoted) = rest.strip_prefix('"') else { return Some((name, rest.strip_prefix(']')?)) };
    let mut subsection = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                return Some((format!("{name}.{subsection}"), quoted.get(at + 1..)?.trim_start().strip_prefix(']')?));
            }
            '\\' => subsection.push(characters.next()?.1),
            other => subsection.push(other),
        }
    }
    None
}

fn parse_value(text: &str) -> Option<String> {
    let (mut value, mut quoted, mut trimmed_len) = (String::new(), false, 0);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                other @ ('"' | '\\') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
        // Space at the end counts within quotes only.
        if quoted || !character.is_whitespace() {
            trimmed_len = value.len();
        }
    }
    value.truncate(trimmed_len);
    (!quoted).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_git_reads_them() {
        let text = "# a comment\n[core]\n\tbare = false ; no\n[Remote \"origin\"]\n url = https://h/a\\\nb.git\n\
                    [remote \"o\\\"dd\"]url=x\n[lfs]\nURL = \" https://l # x \" # y\nstorage\n[lfs \"https://l\"] access = basic\n";
        let config = GitConfig::parse(text);
        assert_eq!(config.get("core.bare"), Some("false"));
        assert_eq!(config.get("remote.origin.url"), Some("https://h/ab.git"));
        assert_eq!(config.get("remote.o\"dd.url"), Some("x"));
        assert_eq!(config.get("lfs.url"), Some(" https://l # x "));
        assert_eq!(config.get("lfs.storage"), Some("true"));
        assert_eq!(config.get("lfs.https://l.access"), Some("basic"));
        assert_eq!(config.default_remote(), Some("origin"));
        assert_eq!(GitConfig::parse("[remote \"up\"]\nurl=a\nurl=b").default_remote(), Some("up"));
        assert_eq!(GitConfig::parse("[remote \"a\"]\nurl=a\n[remote \"b\"]\nurl=b").default_remote(), None);
    }

    #[test]
    fn broken_lines_are_left_out() {
        for text in ["[", "[a", "[a \"b", "url = x", "[a]\nb = \"c", "[a]\nb = c\\q", "[a \"\\"] {
            assert!(GitConfig::parse(text).0.is_empty(), "{text}");
        }
    }
}
