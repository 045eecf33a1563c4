//! Groups with their members. Ten thousand members are written straight from
//! their ids into chunks of bounded size; no JSON value is built for any.
//!
//! The version told is never newer than what is shown: whoever relies on it
//! reads again at worst. Lists are left to `page`.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    http::{StatusCode, header},
    web::{BufMut, Bytes, BytesMut},
};
use uuid::Uuid;

use super::{caller::Caller, failure::Refusal, reply};
use crate::{
    bridge::{Failure, Members, Resource, Session, Written},
    scim::{
        query::Projection,
        resource::{ResourceId, ResourceType::Group},
    },
};

/// Bytes written at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// Reads of a group until its attributes and its members are of one state.
const ROUNDS: usize = 3;

/// A group that was read.
pub(super) async fn group(
    status: StatusCode,
    caller: &Caller,
    group: Resource,
    projection: &Projection,
) -> Result<HttpResponse, Refusal> {
    let Some(line) = Line::wanted(projection, &caller.base) else {
        return Ok(reply::resource(status, caller, Group, &group, projection));
    };
    let (group, members) = consistent(&caller.session, group).await?;
    Ok(answer(status, caller, &group, members, projection, line))
}

/// A group that was written: told at the version of this write.
pub(super) async fn written(
    status: StatusCode,
    caller: &Caller,
    written: Written,
    projection: &Projection,
) -> Result<HttpResponse, Refusal> {
    let group = &written.resource;
    let line = Line::wanted(projection, &caller.base);
    let members = match &line {
        Some(_) => caller.session.members(group.id).await.map(Some),
        None => Ok(None),
    };
    let told = match (line, members) {
        (Some(line), Ok(Some(members))) => answer(status, caller, group, members, projection, line),
        // Deleted by somebody else since: the write itself was done.
        (_, Ok(_) | Err(Failure::Problem(_))) => {
            reply::resource(status, caller, Group, group, projection)
        }
        (_, Err(failure)) => return Err(failure.into()),
    };
    Ok(reply::noting(&written, told))
}

fn answer(
    status: StatusCode,
    caller: &Caller,
    group: &Resource,
    members: Members,
    projection: &Projection,
    line: Line,
) -> HttpResponse {
    let text = reply::text(Group, group, &[], &caller.base, projection);
    let body = BoxBody::new(GroupBody::new(text, members.ids, line));
    let mut answer = HttpResponse::new(status).set_body(body);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, reply::CONTENT_TYPE);
    reply::identified(answer, &caller.base, Group, group)
}

/// Reads the members, and the group again until both are of one state or the
/// group's own attributes did not change in between.
pub(super) async fn consistent(
    session: &Session,
    group: Resource,
) -> Result<(Resource, Members), Failure> {
    let mut group = group;
    let mut members = session.members(group.id).await?;
    for _ in 0..ROUNDS {
        if members.version == group.meta.version {
            break;
        }
        let again = session.read(Group, &group.id.to_string()).await?;
        if again.attributes == group.attributes {
            break;
        }
        group = again;
        members = session.members(group.id).await?;
    }
    Ok((group, members))
}

/// What is written of each member: texts with the id between them, so none,
/// one or two ids. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(Arc<[String]>);

impl Line {
    /// What a projection leaves of a member; `None` when members are not
    /// wanted, and then they are not read either.
    pub(super) fn wanted(projection: &Projection, base: &str) -> Option<Self> {
        if !projection.wants_members() {
            return None;
        }
        let parts = [
            ("value", format!("\"value\":\"{MARK}\"")),
            ("$ref", format!("\"$ref\":\"{base}/Users/{MARK}\"")),
            ("type", "\"type\":\"User\"".to_owned()),
        ];
        let kept = parts
            .into_iter()
            .filter(|(sub, _)| projection.wants_of_member(sub));
        let kept: Vec<_> = kept.map(|(_, text)| text).collect();
        let whole = format!("{{{}}}", kept.join(","));
        (!kept.is_empty()).then(|| Self(whole.split(MARK).map(str::to_owned).collect()))
    }

    /// Bytes of one member without the comma.
    fn length(&self) -> usize {
        let texts: usize = self.0.iter().map(String::len).sum();
        texts + self.0.len().saturating_sub(1) * ID
    }

    fn write(&self, id: ResourceId, out: &mut BytesMut) {
        let mut text = [0; ID];
        let id = Uuid::from_bytes_ref(id.as_bytes()).hyphenated();
        let id = id.encode_lower(&mut text).as_bytes();
        for (place, around) in self.0.iter().enumerate() {
            if place > 0 {
                out.put_slice(id);
            }
            out.put_slice(around.as_bytes());
        }
    }
}

/// Where an id goes; no text of ours has this character.
const MARK: char = '\0';
/// Bytes of a hyphenated id.
const ID: usize = uuid::fmt::Hyphenated::LENGTH;
/// Room for the member that overruns a chunk.
const SPARE: usize = 512;
const OPEN: &str = "\"members\":[";
const CLOSE: &str = "]}";

/// One group's text: its attributes, then its members.
pub(super) struct GroupBody {
    /// The attributes, up to where the members begin.
    head: Option<String>,
    ids: Arc<[ResourceId]>,
    line: Line,
    next: usize,
    pub(super) ended: bool,
}

impl GroupBody {
    /// `text` is the group without members, as one JSON object.
    pub(super) fn new(mut text: String, ids: Arc<[ResourceId]>, line: Line) -> Self {
        text.pop();
        if !text.ends_with('{') {
            text.push(',');
        }
        text.push_str(OPEN);
        Self {
            head: Some(text),
            ids,
            line,
            next: 0,
            ended: false,
        }
    }

    /// All bytes, before any was written.
    fn length(&self) -> usize {
        let members = self.ids.len();
        let head = self.head.as_ref().map_or(0, String::len);
        head + members * self.line.length() + members.saturating_sub(1) + CLOSE.len()
    }

    /// Writes on until the chunk is full or the group is done.
    pub(super) fn fill(&mut self, out: &mut BytesMut) {
        if let Some(head) = self.head.take() {
            out.put_slice(head.as_bytes());
        }
        let room = CHUNK.saturating_sub(out.len()) / (self.line.length() + 1);
        let end = self.next.saturating_add(room.max(1)).min(self.ids.len());
        for id in self.ids.get(self.next..end).unwrap_or_default() {
            if self.next > 0 {
                out.put_u8(b',');
            }
            self.line.write(*id, out);
            self.next += 1;
        }
        if self.next == self.ids.len() {
            out.put_slice(CLOSE.as_bytes());
            self.ended = true;
        }
    }
}

impl MessageBody for GroupBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut out = BytesMut::with_capacity(CHUNK + SPARE);
        this.fill(&mut out);
        Poll::Ready(Some(Ok(out.freeze())))
    }

    /// A group that fits into one chunk needs no stream.
    fn try_into_bytes(mut self) -> Result<Bytes, Self> {
        let length = self.length();
        if length > CHUNK {
            return Err(self);
        }
        let mut out = BytesMut::with_capacity(length);
        while !self.ended {
            self.fill(&mut out);
        }
        Ok(out.freeze())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::scim::json::Limits;

    fn ids(count: usize) -> Arc<[ResourceId]> {
        (0..count)
            .map(|n| ResourceId::new(Uuid::from_u128(n as u128)))
            .collect()
    }

    fn line(query: &str) -> Line {
        let schemas = crate::scim::schema::Schemas::new(&[], &[]);
        let projection = Projection::parse(query, Group, &schemas, &Limits::default()).unwrap();
        Line::wanted(&projection, "http://host/scim/v2").unwrap()
    }

    #[actix_web::test]
    async fn groups_of_any_size_are_whole_json_of_the_announced_length() {
        for (query, keys) in [
            ("", &["value", "$ref", "type"][..]),
            ("excludedAttributes=members.$ref", &["value", "type"]),
            ("attributes=members.value", &["value"]),
            ("attributes=members.type", &["type"]),
        ] {
            for (text, count) in [
                ("{\"id\":\"g\"}", 0),
                ("{}", 1),
                ("{\"id\":\"g\"}", 2),
                ("{\"id\":\"g\"}", 1057),
                ("{\"id\":\"g\"}", 10_000),
            ] {
                let body = GroupBody::new(text.to_owned(), ids(count), line(query));
                let length = body.length();
                let whole = to_bytes(BoxBody::new(body)).await.unwrap();
                assert_eq!(whole.len(), length);
                let group: Value = serde_json::from_slice(&whole).unwrap();
                let members = group["members"].as_array().unwrap();
                assert_eq!(members.len(), count);
                let Some(last) = members.last() else { continue };
                let id = ids(count)[count - 1].to_string();
                let whole = json!({
                    "value": id,
                    "$ref": format!("http://host/scim/v2/Users/{id}"),
                    "type": "User",
                });
                let told: Vec<_> = last
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(String::as_str)
                    .collect();
                assert_eq!(told, keys);
                assert!(keys.iter().all(|key| last[key] == whole[key]));
            }
        }
    }

    #[test]
    fn a_large_group_is_written_in_bounded_chunks() {
        let mut body = GroupBody::new("{\"id\":\"g\"}".to_owned(), ids(5_000), line(""));
        let mut chunks = 0;
        while !body.ended {
            let mut out = BytesMut::new();
            body.fill(&mut out);
            assert!(out.len() <= CHUNK + SPARE);
            chunks += 1;
        }
        assert!(chunks > 3);
    }
}
