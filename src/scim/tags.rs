//! Lists of entity tags as `If-Match` and `If-None-Match` carry them (RFC 7644
//! section 3.14, RFC 9110 section 13.1). Tags are compared weakly, so a client
//! may send them back in either form. A well-formed tag that is not one of ours
//! matches nothing; a malformed list is an error, because ignoring it would do
//! what was to be prevented.

use super::{
    error::{Problem, ScimType},
    render::Tag,
};

/// The tags of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`
    Any,
    /// Tags that are not ours are left out.
    These(Vec<Tag>),
}

impl Tags {
    /// Reads all fields of a name as one list; `None` stands for a field that is
    /// no text.
    pub fn read<'v>(
        name: &str,
        values: impl IntoIterator<Item = Option<&'v str>>,
    ) -> Result<Option<Self>, Problem> {
        let mut tags = Vec::new();
        let mut any = false;
        let mut seen = false;
        for value in values {
            let text = value.ok_or_else(|| malformed(name))?.trim();
            if text.is_empty() {
                // A client that lost the tag must not change whatever is there.
                if name.eq_ignore_ascii_case("if-match") {
                    return Err(malformed(name));
                }
                continue;
            }
            seen = true;
            if text == "*" {
                any = true;
            } else {
                read(text, &mut tags).ok_or_else(|| malformed(name))?;
            }
        }
        Ok(match (seen, any) {
            (false, _) => None,
            (true, true) => Some(Self::Any),
            (true, false) => Some(Self::These(tags)),
        })
    }

    /// The version of an operation in a bulk request, which stands for
    /// `If-Match` (RFC 7644 section 3.7).
    pub fn of_operation(version: Option<&str>) -> Result<Option<Self>, Problem> {
        let found = Self::read("if-match", version.map(Some));
        found.map_err(|_| no_tags("version of the operation"))
    }

    pub fn versions(&self) -> Vec<u64> {
        match self {
            Self::Any => Vec::new(),
            Self::These(tags) => tags.iter().map(|tag| tag.version).collect(),
        }
    }
}

/// Reads `W/"1", "2"`; `None` for anything that is no list of entity tags.
fn read(mut text: &str, tags: &mut Vec<Tag>) -> Option<()> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(());
        }
        let quoted = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
        let (tag, rest) = quoted.split_once('"')?;
        tags.extend(ours(tag));
        let rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        text = rest;
    }
}

/// `007` and `+7` are tags, but never ones we gave out.
fn ours(text: &str) -> Option<Tag> {
    let tag = match text.split_once('-') {
        None => Tag::from(text.parse::<u64>().ok()?),
        Some((version, groups)) => Tag {
            version: version.parse().ok()?,
            groups: Some(u64::from_str_radix(groups, 16).ok()?),
        },
    };
    (tag.to_string() == text).then_some(tag)
}

fn malformed(name: &str) -> Problem {
    no_tags(&format!("{name} header"))
}

fn no_tags(what: &str) -> Problem {
    Problem::bad(
        ScimType::InvalidVers,
        format!(
            "The {what} is not '*' or a list of entity tags like W/\"7\". Send back the ETag header or meta.version as it was received."
        ),
    )
}
