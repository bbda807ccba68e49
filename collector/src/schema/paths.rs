//! Instance identifiers in one spelling: every name with its module.

use super::leaf_type::Prefixes;

/// The names of `path` with their modules; a name without a prefix is of the module before it, as in JSON, unless the
/// document gives names without one a module. `None` for what is no instance identifier (RFC 7950 §9.13).
pub(super) fn canonical_path(path: &str, prefixes: &impl Prefixes) -> Option<String> {
    let mut out = String::with_capacity(path.len() + 32);
    let mut module = String::new();
    let mut rest = path.trim_ascii();
    if !rest.starts_with('/') {
        return None;
    }
    while let Some(first) = rest.chars().next() {
        match first {
            '/' | '[' | ']' | '=' | '.' => {
                out.push(first);
                rest = rest.get(1..)?;
            }
            ' ' | '\t' | '\n' | '\r' => rest = rest.get(1..)?,
            '\'' | '"' => {
                let (value, after) = rest.get(1..)?.split_once(first)?;
                // One kind of quotes, unless the value holds it.
                let quote = if value.contains('\'') { '"' } else { '\'' };
                out.push(quote);
                out.push_str(value);
                out.push(quote);
                rest = after;
            }
            '0'..='9' => {
                let (digits, after) = split_at_end(rest, |c| c.is_ascii_digit());
                out.push_str(digits);
                rest = after;
            }
            _ => {
                let (name, after) = split_at_end(rest, is_name);
                let (found, local) = match name.split_once(':') {
                    Some((prefix, local)) => (Some(prefixes.module(prefix)?), local),
                    None => (prefixes.of_bare_step(), name),
                };
                if let Some(found) = found {
                    found.clone_into(&mut module);
                }
                if module.is_empty() || local.is_empty() || local.contains(':') {
                    return None;
                }
                out.push_str(&module);
                out.push(':');
                out.push_str(local);
                rest = after;
            }
        }
    }
    Some(out)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')
}

fn split_at_end(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With what names without a prefix mean.
    struct Two(Option<&'static str>);

    impl Prefixes for Two {
        fn module(&self, prefix: &str) -> Option<&str> {
            match prefix {
                "i" | "ietf-interfaces" => Some("ietf-interfaces"),
                "p" | "ietf-ip" => Some("ietf-ip"),
                _ => None,
            }
        }

        fn of_bare_identity(&self) -> Option<&str> {
            self.0
        }

        fn of_bare_step(&self) -> Option<&str> {
            self.0
        }
    }

    #[test]
    fn xml_and_json_spell_one_path_alike() {
        let canonical =
            "/ietf-interfaces:interfaces/ietf-interfaces:interface[ietf-interfaces:name='eth0']/ietf-ip:ipv4";
        for (path, own) in [
            ("/i:interfaces/i:interface[i:name=\"eth0\"]/p:ipv4", None),
            ("/i:interfaces/i:interface[ i:name = 'eth0' ]/p:ipv4", None),
            ("/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv4", None),
            ("/interfaces/interface[name='eth0']/p:ipv4", Some("ietf-interfaces")),
        ] {
            assert_eq!(canonical_path(path, &Two(own)).as_deref(), Some(canonical), "{path}");
        }
        let list = "/i:a[.='it\"s']/i:b[3]";
        assert_eq!(
            canonical_path(list, &Two(None)).unwrap(),
            "/ietf-interfaces:a[.='it\"s']/ietf-interfaces:b[3]"
        );
        for none in ["", "a", "/x:a", "/a", "/i:", "/i:a[i:b='", "/i:a#"] {
            assert_eq!(canonical_path(none, &Two(None)), None, "{none}");
        }
    }
}
