//! The page's words in English and Chinese: two flat catalogues, compiled in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    En,
    Zh,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::En, Language::Zh];

    /// `en` or `zh`, as in `?lang=`, the cookie, and [`model::Text::get`].
    pub fn code(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
        }
    }

    /// The `lang` attribute of the document.
    pub fn tag(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh-Hans",
        }
    }

    /// Its name in itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Language::En => "English",
            Language::Zh => "中文",
        }
    }

    pub fn of_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|l| l.code() == code)
    }

    /// The reader's choice: the address, else the cookie, else what the browser asks for, else English.
    pub fn choose(asked: Option<&str>, cookies: &str, accepted: &str) -> Language {
        let cookie =
            cookies.split(';').filter_map(|c| c.trim().strip_prefix("lang=")).find_map(Language::of_code);
        asked.and_then(Language::of_code).or(cookie).unwrap_or_else(|| best_accepted(accepted))
    }

    /// The text of `key`, nothing for a key that no catalogue has.
    pub fn find(self, key: &str) -> Option<&'static str> {
        let catalogue = match self {
            Language::En => &*ENGLISH,
            Language::Zh => &*CHINESE,
        };
        catalogue.get(key).copied()
    }
}

/// RFC 9110 §12.5.4, as far as two languages need it.
fn best_accepted(header: &str) -> Language {
    let mut best = (Language::En, 0u32);
    for range in header.split(',').take(20) {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let primary = tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase();
        let quality = parameters.trim().strip_prefix("q=").map_or(1000, thousandths);
        if let Some(language) = Language::of_code(&primary)
            && quality > best.1
        {
            best = (language, quality);
        }
    }
    best.0
}

/// A quality value `0.xyz` or `1` in thousandths; 0 for anything else.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    match whole {
        "1" => 1000,
        "0" => format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}

type Catalogue = BTreeMap<&'static str, &'static str>;

static ENGLISH: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("text/en.txt")));
static CHINESE: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("text/zh.txt")));

/// Lines `key = text`; empty ones and those that begin with `#` are skipped.
fn read(source: &'static str) -> Catalogue {
    let lines = source.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, text)| (key.trim(), text.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn both_catalogues_have_the_same_keys_and_places() {
        let english: Vec<_> = ENGLISH.keys().collect();
        let chinese: Vec<_> = CHINESE.keys().collect();
        assert_eq!(english, chinese);
        for (key, text) in ENGLISH.iter() {
            assert_eq!(places(text), places(CHINESE[key]), "{key}");
            assert!(!text.is_empty() && !CHINESE[key].is_empty(), "{key} is empty");
        }
    }

    #[test]
    fn no_line_is_lost_and_no_key_is_there_twice() {
        for (source, catalogue) in
            [(include_str!("text/en.txt"), &*ENGLISH), (include_str!("text/zh.txt"), &*CHINESE)]
        {
            let lines = source.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).count();
            assert_eq!(lines, catalogue.len());
        }
    }

    #[test]
    fn every_key_of_a_template_is_in_the_catalogue_and_none_is_spare() {
        let mut used = BTreeSet::new();
        for folder in ["agent/templates", "agent/src/web"] {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            collect_keys(&root, &mut used);
        }
        for key in &used {
            assert!(ENGLISH.contains_key(key.as_str()), "{key} is used but has no text");
        }
        // Labels are looked up by the name of a value: `label("state", …)`.
        let labelled = |key: &str| LABELS.iter().any(|prefix| key.starts_with(prefix));
        for key in ENGLISH.keys() {
            assert!(labelled(key) || used.contains(*key), "{key} is in the catalogue but nothing uses it");
        }
    }

    const LABELS: &[&str] = &[
        "state.",
        "severity.",
        "authorisation.",
        "standing.",
        "progress.",
        "kind.",
        "outcome.",
        "reason.",
        "actor.",
        "meaning.",
        "subject.",
        "role.",
        "verb.",
        "decision.",
        "facet.",
        "action.",
        "mark.",
        "problem.",
        "unit.",
        "rulename.",
        "fork.",
        "nodestanding.",
        "disputestate.",
        "noderefused.",
        "secondverdict.",
        "dispute.",
    ];

    fn collect_keys(folder: &std::path::Path, used: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect_keys(&path, used);
                continue;
            }
            if path.extension().is_some_and(|e| e == "txt") || path.ends_with("text.rs") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for call in [".t(\"", ".n(\"", ".since(\""] {
                let keys = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                used.extend(keys.map(str::to_owned));
            }
            // What a form lacks has its key: `Lack::Comment => "act.…"`.
            let refusals = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
            used.extend(refusals.filter(|key| key.starts_with("act.")).map(str::to_owned));
            for rest in source.split(".count(\"").skip(1) {
                let key = rest.split('"').next().unwrap();
                used.extend([format!("{key}.one"), format!("{key}.many")]);
            }
        }
    }

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn the_address_wins_over_the_cookie_and_the_cookie_over_the_browser() {
        assert_eq!(Language::choose(Some("zh"), "lang=en", "en"), Language::Zh);
        assert_eq!(Language::choose(Some("xx"), "a=b; lang=zh", "en"), Language::Zh);
        assert_eq!(Language::choose(None, "", "fr, zh-CN;q=0.9, en;q=0.8"), Language::Zh);
        assert_eq!(Language::choose(None, "", "zh;q=0, de"), Language::En);
        assert_eq!(Language::choose(None, "", ""), Language::En);
    }
}
