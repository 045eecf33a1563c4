//! One call of a declared application: what is filled in and where, and every
//! page of a list.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use reqwest::StatusCode;
use serde_json::Value;

use super::{
    Rest, answers,
    body::Told,
    lists, meaning,
    operation::{Name, Operation},
    paging::{MOST, Pages, Pairs, unclear},
    settings::KnownBy,
    signs,
    template::Values,
};
use crate::upstream::{
    UpstreamError,
    client::{Call, Meaning},
    same_page::Page,
};

/// What a call is about besides the placeholders of one thing.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) members: Vec<Told>,
    pub(super) page: Pairs,
    /// The page's query is all of it.
    pub(super) page_alone: bool,
}

/// What a call was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) value: Value,
    /// Its `Link` headers.
    pub(super) links: Vec<String>,
    /// Nothing was left to do.
    pub(super) was_so: bool,
    /// A success that is to come, or is one in part, and says no more.
    pub(super) is_open: bool,
    /// Nothing at all was said.
    pub(super) is_blank: bool,
}

impl Rest {
    pub(super) fn declared(&self, name: Name) -> Result<&Operation, UpstreamError> {
        self.settings
            .operation(name)
            .ok_or_else(|| rejected(format!("no operations.{} is declared", name.key())))
    }

    /// Sends one call. What cannot be filled in is refused before anything is
    /// sent; a success that is no JSON is none.
    pub(super) async fn call(
        &self,
        name: Name,
        values: &Values<'_>,
        about: About,
    ) -> Result<Answer, UpstreamError> {
        let operation = self.declared(name)?;
        let mut all = values.to_vec();
        if let [only] = about.members.as_slice() {
            all.extend(only.iter().map(|(hole, value)| (*hole, value.as_str())));
        }
        let mut query = about.page.clone();
        if !about.page_alone {
            for (key, text) in &operation.query {
                let value = text.fill(&all).map_err(barred)?;
                query.extend(value.map(|value| (key.clone(), value)));
            }
        }
        let body = operation.body.as_ref();
        let body = body.map(|body| body.fill(&all, &about.members));
        let body = body.transpose().map_err(barred)?.flatten();
        let query: Vec<(&str, &str)> = query
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let call = Call {
            method: operation.method(name),
            template: operation.path.as_ref().map_or("/", |path| path.as_str()),
            values: &all,
            query: &query,
            body,
            priority: name.priority(),
            writes: name.writes(),
            proof: operation.proof(name),
        };
        let (rows, told, shape) = (
            &self.settings.errors,
            about.members.as_slice(),
            &self.settings.member,
        );
        let single = told.len() < 2;
        let open = AtomicBool::new(false);
        let judge = |status: StatusCode, body: &[u8]| {
            let meaning = meaning::of(rows, (name, single), status.as_u16(), body)
                .or_else(|| operation.beside_what_is_made(name, (status, body), told, shape))
                .or_else(|| self.is_doubtful(name, operation, (status, body)));
            let is_open = meaning.is_none() && self.is_open(name, operation, (status, body));
            open.fetch_or(is_open, Relaxed);
            meaning.or_else(|| is_open.then_some(Meaning::Success))
        };
        let reply = self.client.send_judged(call, &judge).await?;
        let is_open = open.into_inner();
        Ok(Answer {
            value: if is_open { Value::Null } else { reply.json()? },
            links: reply.links().to_vec(),
            was_so: reply.was_so(),
            is_open,
            is_blank: reply.is_blank(),
        })
    }

    /// Whether an answer to a change of members promises, or did a part, without a word
    /// of who or against it.
    fn is_open(
        &self,
        name: Name,
        operation: &Operation,
        (status, body): (StatusCode, &[u8]),
    ) -> bool {
        let by_status = name.changes_members()
            && operation.proof(name).lacks(status, body) == Some(Meaning::Unknown)
            && operation.proof(name).lacks(StatusCode::OK, body).is_none();
        by_status && !signs::doubt(name, operation, &self.settings, body)
    }

    /// What a success means that tells no error where one is looked for, and yet has
    /// a sign of one.
    fn is_doubtful(
        &self,
        name: Name,
        operation: &Operation,
        (status, body): (StatusCode, &[u8]),
    ) -> Option<Meaning> {
        let is_judged = name.writes() && operation.proof(name).lacks(status, body).is_some();
        let is_open = status.is_success() && !is_judged;
        let doubt = || signs::doubt(name, operation, &self.settings, body);
        (is_open && doubt()).then_some(Meaning::Unknown)
    }

    /// A whole list, page after page.
    pub(super) async fn all(
        &self,
        name: Name,
        values: &Values<'_>,
    ) -> Result<Vec<Value>, UpstreamError> {
        let operation = self.declared(name)?;
        let path = operation.path.as_ref().map_or("/", |path| path.as_str());
        let here = self.client.address(path, values)?;
        let mut pages = Pages::of(operation.paging.as_ref(), here);
        let mut all = Vec::new();
        loop {
            let (page, page_alone) = pages.query();
            let about = About {
                page,
                page_alone,
                ..About::default()
            };
            let answer = self.call(name, values, about).await?;
            let here = (values, all.is_empty());
            let rows = self.list(name, &answer, here).await?;
            let page = Page::of(&rows, |row| answers::key(name, row, &self.settings));
            let goes_on = pages.goes_on((&answer.value, &answer.links), &page)?;
            all.extend(rows);
            if all.len() > MOST {
                return Err(unclear("a list is longer than any that is believed"));
            }
            if !goes_on {
                return Ok(all);
            }
        }
    }

    /// What a search finds; nothing where the application says it is missing.
    pub(super) async fn search(
        &self,
        name: Name,
        values: &Values<'_>,
    ) -> Result<Vec<Value>, UpstreamError> {
        let operation = self.declared(name)?;
        match self.call(name, values, About::default()).await {
            Ok(answer) => lists::candidates(&answer.value, name, operation, &self.settings),
            Err(UpstreamError::Missing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What is filled in of a group.
    pub(super) fn values_of_group<'a>(
        &self,
        group: &'a str,
        id: Option<&'a str>,
    ) -> Vec<(&'static str, &'a str)> {
        match self.settings.group.known_by {
            KnownBy::Id => vec![("group.id", group)],
            KnownBy::Email | KnownBy::Name => {
                let id = id.map(|id| ("group.id", id));
                [("group.name", group)].into_iter().chain(id).collect()
            }
        }
    }
}

pub(super) fn rejected(reason: String) -> UpstreamError {
    UpstreamError::Rejected { reason }
}

/// Refused on this side, in words that are said to identity providers.
pub(super) fn barred(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Barred {
        reason: reason.into(),
    }
}

/// Nothing was done, and another try will know more.
pub(super) fn later(reason: impl Into<String>) -> UpstreamError {
    UpstreamError::Later {
        after: None,
        reason: reason.into(),
    }
}

/// The end of a reading before anything was sent that changes something: what
/// was to be sent was not.
pub(super) fn unsent(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Unknown { reason } => later(reason),
        other => other,
    }
}
