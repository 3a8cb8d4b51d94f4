//! Git's configuration files, as far as Git LFS needs them: sections, keys, quotes, comments. No `include`, no `insteadOf`:
//! what is not in the file itself is not followed.

/// The settings of one file, in their order.
#[derive(Default)]
pub(super) struct Settings(Vec<(String, String)>);

impl Settings {
    /// Reads a file. What is not understood is left out, as a setting that is not there.
    pub(super) fn parse(text: &str) -> Self {
        let mut settings = Vec::new();
        let mut section = String::new();
        let joined = text.replace("\r\n", "\n").replace("\\\n", "");
        for line in joined.lines() {
            let mut line = line.trim_start();
            if let Some(inner) = line.strip_prefix('[') {
                let Some((name, rest)) = header(inner) else { continue };
                section = name;
                line = rest.trim_start();
            }
            if line.is_empty() || line.starts_with(['#', ';']) || section.is_empty() {
                continue;
            }
            let (key, text) = line.split_once('=').unwrap_or((line, "true"));
            let key = key.trim().to_ascii_lowercase();
            if let Some(value) = value(text.trim_start()) {
                settings.push((format!("{section}.{key}"), value));
            }
        }
        Self(settings)
    }

    /// The last value of a key, written as `section.name.key`.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The name of the remote that counts: `origin`, or the only one.
    pub(super) fn remote(&self) -> Option<&str> {
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

/// What stands behind `[`: the name, with its second part as it is, and the rest of the line.
fn header(inner: &str) -> Option<(String, &str)> {
    let end = inner.find([']', '"'])?;
    let (name, rest) = inner.split_at(end);
    let name = name.trim().to_ascii_lowercase();
    let Some(quoted) = rest.strip_prefix('"') else { return Some((name, rest.strip_prefix(']')?)) };
    let mut second = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((format!("{name}.{second}"), quoted.get(at + 1..)?.trim_start().strip_prefix(']')?)),
            '\\' => second.push(characters.next()?.1),
            other => second.push(other),
        }
    }
    None
}

fn value(text: &str) -> Option<String> {
    let (mut value, mut quoted, mut kept) = (String::new(), false, 0);
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
        // Space at the end counts inside of quotes only.
        if quoted || !character.is_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    (!quoted).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_git_reads_them() {
        let text = "# a comment\n[core]\n\tbare = false ; no\n[Remote \"origin\"]\n url = https://h/a\\\nb.git\n\
                    [remote \"o\\\"dd\"]url=x\n[lfs]\nURL = \" https://l # x \" # y\nstorage\n[lfs \"https://l\"] access = basic\n";
        let settings = Settings::parse(text);
        assert_eq!(settings.get("core.bare"), Some("false"));
        assert_eq!(settings.get("remote.origin.url"), Some("https://h/ab.git"));
        assert_eq!(settings.get("remote.o\"dd.url"), Some("x"));
        assert_eq!(settings.get("lfs.url"), Some(" https://l # x "));
        assert_eq!(settings.get("lfs.storage"), Some("true"));
        assert_eq!(settings.get("lfs.https://l.access"), Some("basic"));
        assert_eq!(settings.remote(), Some("origin"));
        assert_eq!(Settings::parse("[remote \"up\"]\nurl=a\nurl=b").remote(), Some("up"));
        assert_eq!(Settings::parse("[remote \"a\"]\nurl=a\n[remote \"b\"]\nurl=b").remote(), None);
    }

    #[test]
    fn what_is_broken_is_left_out() {
        for text in ["[", "[a", "[a \"b", "url = x", "[a]\nb = \"c", "[a]\nb = c\\q", "[a \"\\"] {
            assert!(Settings::parse(text).0.is_empty(), "{text}");
        }
    }
}
