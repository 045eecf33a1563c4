//! Which optional parts of the protocol there are (RFC 7644 section 4), as the
//! table of routes has them and not as somebody remembers: what a door does not
//! take is not told to be supported, and what it takes is.

use std::sync::LazyLock;

use actix_web::http::Method;

use super::{openapi::Operation, routes};

/// The parts that a service provider may leave out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) patch: bool,
    pub(super) bulk: bool,
    pub(super) filter: bool,
    pub(super) sort: bool,
    pub(super) etag: bool,
    pub(super) index: bool,
    pub(super) cursor: bool,
}

/// The same as long as the process lives.
pub(super) static OFFERS: LazyLock<Offers> = LazyLock::new(|| Offers::of(&routes::told()));

type Told = (&'static str, Vec<(Method, Operation)>);

impl Offers {
    fn of(table: &[Told]) -> Self {
        let of_all = |paths: [&str; 2], method: Method, takes: &str| {
            paths.iter().all(|path| {
                let doors = table.iter().filter(|(known, _)| known == path);
                let mut doors = doors.flat_map(|(_, doors)| doors);
                doors.any(|(of, door)| *of == method && (takes.is_empty() || door.has(takes)))
            })
        };
        let lists = ["/Users", "/Groups"];
        let ones = ["/Users/{id}", "/Groups/{id}"];
        let listed = |by: &str| of_all(lists, Method::GET, by);
        let changes = [Method::PUT, Method::PATCH, Method::DELETE];
        Self {
            patch: of_all(ones, Method::PATCH, ""),
            bulk: of_all(["/Bulk"; 2], Method::POST, ""),
            filter: listed("filter"),
            sort: listed("sortBy") && listed("sortOrder"),
            etag: of_all(ones, Method::GET, "If-None-Match")
                && changes.into_iter().all(|it| of_all(ones, it, "If-Match")),
            index: listed("startIndex") && listed("count"),
            cursor: listed("cursor") && listed("count"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_door_does_not_take_is_not_offered() {
        let mut table = routes::told();
        assert_eq!(
            Offers::of(&table),
            Offers {
                patch: true,
                bulk: true,
                filter: true,
                sort: true,
                etag: true,
                index: true,
                cursor: true,
            }
        );
        for (path, doors) in &mut table {
            match *path {
                "/Groups/{id}" => doors.retain(|(method, _)| method != Method::PATCH),
                // Another door's record, which takes nothing of a list.
                "/Users" => doors[0].1 = openapi_of_one(),
                _ => {}
            }
        }
        table.retain(|(path, _)| *path != "/Bulk");
        let less = Offers::of(&table);
        assert!(!less.patch && !less.bulk && !less.etag);
        assert!(!less.filter && !less.sort && !less.index && !less.cursor);
    }

    fn openapi_of_one() -> Operation {
        super::super::openapi::operations::read(crate::scim::resource::ResourceType::User)
    }
}
