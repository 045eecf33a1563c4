//! Opsera's refusals, read for what they mean.
//!
//! Few statuses are documented, so the words count too: what exists already,
//! what was so before, and whether a 404 is about the group or about one of
//! its members.

use serde_json::Value;

use super::operations::Name;
use crate::upstream::{UpstreamError, client};

/// Words of a message that do not fit a success.
const DOUBTFUL: [&str; 8] = [
    "fail",
    "error",
    "cannot",
    "could not",
    "unable",
    "denied",
    "invalid",
    "not found",
];

/// A 2xx, unless its body says otherwise: no status of an error is documented,
/// and version 1 put `{"status":"failed","message":..}` into its answers. What
/// says so outright is a refusal; what only sounds like one is unclear.
pub(super) fn accepted(answer: Value) -> Result<Value, UpstreamError> {
    doubt(&answer).map_or(Ok(answer), Err)
}

/// What in an answer tells of a refusal, or sounds like one.
pub(super) fn doubt(answer: &Value) -> Option<UpstreamError> {
    let parts = [Some(answer), answer.get("result"), answer.get("data")];
    let parts = || parts.iter().flatten();
    if parts().any(|part| is_refusal(part)) {
        let words = parts().find_map(|part| said(part)).unwrap_or_default();
        return Some(UpstreamError::Rejected {
            reason: format!("answered 2xx and a refusal: {}", told(words)),
        });
    }
    let words = parts().find_map(|part| said(part).filter(|words| says(words, &DOUBTFUL)));
    words.map(|words| UpstreamError::Unknown {
        reason: format!("answered 2xx and words of a refusal: {}", told(words)),
    })
}

/// A reading, unless it says that it failed: what stands beside that is not all.
pub(super) fn shown(answer: Value) -> Result<Value, UpstreamError> {
    if is_refusal(&answer) {
        return Err(UpstreamError::Unknown {
            reason: format!(
                "answered with an error: {}",
                told(said(&answer).unwrap_or_default())
            ),
        });
    }
    Ok(answer)
}

fn is_refusal(part: &Value) -> bool {
    let is_status = |value: &Value| match value {
        Value::String(text) => says(text, &["fail", "error"]),
        other => other.as_u64().is_some_and(|status| status >= 400),
    };
    client::says_no(part)
        || ["status", "statusCode"]
            .iter()
            .any(|key| part.get(key).is_some_and(is_status))
}

fn said(part: &Value) -> Option<&str> {
    part.as_str()
        .or_else(|| part.get("message")?.as_str())
        .or_else(|| part.get("error")?.as_str())
        .or_else(|| part.get("errors")?.get(0)?.as_str())
}

/// Its words as the log has those of any refusal.
fn told(words: &str) -> String {
    client::failure_text(words.as_bytes())
}

/// What is not there, as `None`.
pub(super) fn present(
    answer: Result<Value, UpstreamError>,
) -> Result<Option<Value>, UpstreamError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(UpstreamError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// No status is documented for what exists already: a 400 may say so in words.
pub(super) fn or_exists(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Rejected { reason } if says(&reason, &["already exist", "duplicate"]) => {
            UpstreamError::Exists { reason }
        }
        other => other,
    }
}

/// Whether a refusal of one member may only say that nothing was left to do: in words,
/// or, of an addition, by a 409 whatever its words.
pub(super) fn was_so(error: &UpstreamError, name: Name) -> bool {
    let (UpstreamError::Rejected { reason }
    | UpstreamError::Exists { reason }
    | UpstreamError::Missing { reason }) = error
    else {
        return false;
    };
    match name {
        Name::AddMembers => {
            matches!(error, UpstreamError::Exists { .. })
                || says(
                    reason,
                    &["already a member", "already in", "already member"],
                )
        }
        Name::RemoveMembers => says(reason, &["not a member", "not in the group", "not member"]),
        _ => false,
    }
}

/// A refusal of a batch: 409 means one of its members, a 404 that speaks of
/// users does not mean the group, and the replacement, which documents no 404,
/// says in words that the group is gone.
pub(super) fn of_batch(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Rejected { reason } if says(&reason, &["group not found"]) => {
            UpstreamError::Missing { reason }
        }
        UpstreamError::Exists { reason } => UpstreamError::Rejected { reason },
        UpstreamError::Missing { reason }
            if says(&reason, &["user", "member", "identifier"]) && !says(&reason, &["group"]) =>
        {
            UpstreamError::Rejected { reason }
        }
        other => other,
    }
}

fn says(reason: &str, words: &[&str]) -> bool {
    let reason = reason.to_lowercase();
    words.iter().any(|word| reason.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejected(reason: &str) -> UpstreamError {
        UpstreamError::Rejected {
            reason: reason.into(),
        }
    }

    fn missing(reason: &str) -> UpstreamError {
        UpstreamError::Missing {
            reason: reason.into(),
        }
    }

    #[test]
    fn a_success_that_says_it_failed_is_none() {
        for refusal in [
            json!({"status": "failed", "message": "user owns pipelines"}),
            json!({"statusCode": 422, "message": "no"}),
            json!({"success": false}),
            json!({"errors": ["no"]}),
            json!({"result": {"error": "no"}}),
        ] {
            let read = accepted(refusal.clone());
            assert!(
                matches!(read, Err(UpstreamError::Rejected { .. })),
                "{refusal}"
            );
        }
        for doubt in [
            json!("User cannot be deactivated"),
            json!({"message": "Not found."}),
        ] {
            let read = accepted(doubt.clone());
            assert!(
                matches!(read, Err(UpstreamError::Unknown { .. })),
                "{doubt}"
            );
        }
        for success in [
            json!(null),
            json!("User deactivated"),
            json!({"status": "success", "message": "done", "error": null, "errors": []}),
            json!({"status": 200, "data": {"_id": "5", "email": "a@b.c"}}),
        ] {
            assert_eq!(accepted(success.clone()), Ok(success));
        }
    }

    #[test]
    fn what_exists_is_said_by_status_or_in_words() {
        for reason in [
            "answered 400: User already exists",
            "answered 400: Duplicate email",
        ] {
            let read = or_exists(rejected(reason));
            assert!(matches!(read, UpstreamError::Exists { .. }), "{reason}");
        }
        let other = rejected("answered 400: name is required");
        assert_eq!(or_exists(other.clone()), other);
    }

    #[test]
    fn what_was_so_already_is_told_apart_by_direction() {
        let inside = rejected("answered 400: ann is already a member");
        let outside = missing("answered 404: User is not a member of the group");
        assert!(was_so(&inside, Name::AddMembers));
        assert!(!was_so(&inside, Name::RemoveMembers));
        assert!(was_so(&outside, Name::RemoveMembers));
        assert!(!was_so(&outside, Name::AddMembers));
        assert!(!was_so(&outside, Name::ReplaceMembers));
        // A 409 to an addition is worth a look in any language.
        let taken = UpstreamError::Exists {
            reason: "answered 409: bereits vorhanden".into(),
        };
        assert!(was_so(&taken, Name::AddMembers) && !was_so(&taken, Name::RemoveMembers));
    }

    #[test]
    fn a_404_is_about_the_group_unless_it_speaks_of_users() {
        for (error, group_is_missing) in [
            (missing("answered 404"), true),
            (missing("answered 404: Group not found"), true),
            (missing("answered 404: User not found"), false),
            (rejected("answered 400: Group not found"), true),
            (rejected("answered 400: bad identifier"), false),
        ] {
            let read = of_batch(error.clone());
            let is_missing = matches!(read, UpstreamError::Missing { .. });
            assert_eq!(is_missing, group_is_missing, "{error:?}");
        }
        let taken = UpstreamError::Exists {
            reason: "answered 409".into(),
        };
        assert!(matches!(of_batch(taken), UpstreamError::Rejected { .. }));
    }
}
