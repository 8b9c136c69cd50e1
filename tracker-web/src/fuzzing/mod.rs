//! The properties that hold for any address and any form: the page never panics, and it reads its own links and forms as it meant
//! them.
//!
//! The function builds addresses and forms from any bytes. `cargo test` calls it thousands of times, and `cargo fuzz` (see
//! `fuzz/`) millions of times.

mod source;

use axum::extract::Query as UrlQuery;
use axum::http::Uri;
use chrono::DateTime;
use percent_encoding::percent_decode_str;

use self::source::Source;
use crate::query::{Query, id_arguments};
use crate::routes::Addresses;
use crate::routes::form::{Fields, REASON};
use crate::view::parts::hidden_filter;
use crate::view::work::Meant;

const TO: Addresses<'static> = Addresses { base: "/tracker" };

/// The fields of an address and of a form, one that neither has, and one without a name.
static NAMES: [&str; 17] = [
    "step", "status", "prefix", "since", "until", "error", "group", "order", "details", "after", "action",
    "id", "all", "reason", "back", "unknown", "",
];

/// Checks the query strings and the forms of the page.
///
/// # Panics
///
/// If a property does not hold.
pub fn page(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    check_query(&query(&mut source));
    let ids: Vec<_> = (0..source.below(4)).map(|_| source.text()).collect();
    check_ids(&source.text(), &ids);
    let given = pairs(&mut source);
    if let Some(query) =
        read_address(&format!("/tracker/u/extract/tasks?{}", String::from_utf8_lossy(&given)))
    {
        check_query(&query);
    }
    check_form(&pairs(&mut source));
}

/// Returns a query with any fields.
fn query(source: &mut Source<'_>) -> Query {
    let mut query = Query::default();
    let fields = [
        &mut query.step,
        &mut query.status,
        &mut query.prefix,
        &mut query.since,
        &mut query.until,
        &mut query.error,
        &mut query.group,
        &mut query.order,
        &mut query.details,
        &mut query.after,
    ];
    for field in fields {
        if source.below(3) == 0 {
            *field = source.text();
        }
    }
    query
}

/// Returns fields with any values as an address or a form has them, or any bytes.
fn pairs(source: &mut Source<'_>) -> Vec<u8> {
    let mut names = &NAMES[..];
    if source.below(2) == 0 {
        // Those of a form without a filter.
        names = &NAMES[10..14];
    }
    let pairs: Vec<_> = (0..source.below(5)).map(|_| (source.pick(names), source.text())).collect();
    let text = encoded(&pairs).into_bytes();
    match source.below(4) {
        0 => source.take(64).to_vec(),
        1 => source.mutated(text),
        _ => text,
    }
}

/// Encodes fields as a browser does.
fn encoded<N: AsRef<str>>(pairs: &[(N, String)]) -> String {
    let pairs: Vec<(&str, &String)> = pairs.iter().map(|(name, value)| (name.as_ref(), value)).collect();
    serde_urlencoded::to_string(pairs).expect("pairs of texts")
}

/// Reads the query of an address as a route does. Returns none for an address that is refused.
fn read_address(address: &str) -> Option<Query> {
    let address: Uri = address.parse().ok()?;
    match UrlQuery::try_from_uri(&address) {
        Ok(UrlQuery(query)) => Some(query),
        Err(error) => {
            assert!(!error.body_text().is_empty());
            None
        }
    }
}

/// Checks that a link, the hidden fields of a form, and the command that the page shows mean the same as the query.
fn check_query(query: &Query) {
    let link = TO.list("extract", query);
    assert_eq!(read_address(&link).as_ref(), Some(query), "{link}");
    let cursor = query.cursor().map(|cursor| cursor.to_string());
    assert_eq!(cursor.unwrap_or_default(), query.after);

    let html = hidden_filter(query).into_string();
    let mut form = inputs(&html);
    let all = if query.is_filter() { "1" } else { "everything" };
    form.extend(
        [("action", "redrive"), ("all", all)].map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let fields = check_form(encoded(&form).as_bytes()).expect("a form of the page is read");
    let filter =
        Query { order: String::new(), details: String::new(), after: String::new(), ..query.clone() };
    assert_eq!((fields.all, &fields.query), (true, &filter), "{html}");
    assert_eq!(fields.back(&TO, "extract"), TO.list("extract", &filter));

    let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
    if let Err(why) = query.filter(now) {
        let is_named = |name: &str, value: &str| why.starts_with(name) && !value.is_empty();
        assert!(is_named("since: ", &query.since) || is_named("until: ", &query.until), "{why}");
        assert_eq!(query.of_list(now).err(), Some(why));
    } else {
        assert!(query.of_list(now).is_ok());
    }

    assert_eq!(words(&query.options()), arguments(query));
    let meant = Meant::All { query: Box::new(query.clone()), tasks: 0, is_exact: false };
    assert!(!meant.words().chars().any(char::is_control), "{:?}", meant.words());
}

/// Checks that links, a form and a command name the same ids.
fn check_ids(use_case: &str, ids: &[String]) {
    for id in ids {
        let link: Uri = TO.task(use_case, id).parse().expect("an address");
        let query: Vec<(String, String)> =
            serde_urlencoded::from_str(link.query().unwrap_or_default()).expect("a query");
        assert_eq!(query, [("id".to_owned(), id.clone())], "{link}");
        let segment = link.path().strip_prefix("/tracker/u/").and_then(|rest| rest.strip_suffix("/task"));
        let segment = segment.filter(|segment| !segment.contains('/')).expect("one segment");
        assert_eq!(percent_decode_str(segment).decode_utf8().as_deref(), Ok(use_case), "{link}");
    }
    let hyphen = ids.iter().any(|id| id.starts_with('-')).then(|| "--".to_owned());
    let arguments: Vec<_> = hyphen.into_iter().chain(ids.iter().cloned()).collect();
    assert_eq!(words(&id_arguments(ids.iter().map(String::as_str))), arguments);

    let form: Vec<_> = ids.iter().map(|id| ("id", id.clone())).collect();
    match check_form(encoded(&form).as_bytes()) {
        Some(fields) => assert_eq!((fields.ids.as_slice(), fields.query), (ids, Query::default())),
        None => assert!(ids.is_empty()),
    }
}

/// Checks that a form means either some ids, or all tasks, or the tasks of a filter, and never deletes all tasks. Returns none for
/// a form that is refused.
fn check_form(form: &[u8]) -> Option<Fields> {
    let fields = match Fields::read(form) {
        Ok(fields) => fields,
        Err(why) => {
            assert!(!why.is_empty());
            return None;
        }
    };
    let kinds = [!fields.ids.is_empty(), fields.everything, fields.query.is_filter()];
    assert_eq!(kinds.into_iter().filter(|is_meant| *is_meant).count(), 1, "{fields:?}");
    assert_eq!(fields.all, fields.ids.is_empty(), "{fields:?}");
    assert!(!(fields.everything && fields.action == "delete"), "{fields:?}");
    let is_reason = |reason: &String| !reason.trim().is_empty() && reason.chars().count() <= REASON;
    assert!(fields.reason.as_ref().is_none_or(is_reason), "{fields:?}");
    Some(fields)
}

/// Returns the names and values of hidden fields, as a browser reads them.
fn inputs(html: &str) -> Vec<(String, String)> {
    let unescaped = |text: &str| {
        assert!(!text.contains(['"', '<', '>']), "a value is not escaped: {html}");
        let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
        text.replace("&amp;", "&")
    };
    let inputs = html.split("<input type=\"hidden\" name=\"").skip(1);
    let pairs = inputs.map(|input| {
        let (name, value) = input.split_once("\" value=\"").expect("a value");
        (unescaped(name), unescaped(value.strip_suffix("\">").expect("an end")))
    });
    pairs.collect()
}

/// Splits a command into words, as a shell does.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => words.extend(word.take()),
            '\'' => {
                let quoted = letters.by_ref().take_while(|letter| *letter != '\'');
                word.get_or_insert_default().extend(quoted);
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            plain => {
                assert!(
                    plain.is_ascii_alphanumeric() || "-_./:@=".contains(plain),
                    "a shell may change {command}"
                );
                word.get_or_insert_default().push(plain);
            }
        }
    }
    words.extend(word);
    words
}

/// Returns the arguments of a command that mean the same as a query.
fn arguments(query: &Query) -> Vec<String> {
    let fields = [
        ("--step", &query.step),
        ("--status", &query.status),
        ("--prefix", &query.prefix),
        ("--since", &query.since),
        ("--until", &query.until),
        ("--error", &query.error),
        ("--error-group", &query.group),
    ];
    let mut arguments = Vec::new();
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        if value.starts_with('-') {
            arguments.push(format!("{name}={value}"));
        } else {
            arguments.extend([name.to_owned(), value.clone()]);
        }
    }
    if arguments.is_empty() { vec!["--all".to_owned()] } else { arguments }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::time::Instant;

    use super::*;

    /// Returns a number of random inputs.
    fn inputs_of(count: u32) -> impl Iterator<Item = Vec<u8>> {
        let mut rng = fastrand::Rng::with_seed(9);
        (0..count).map(move |_| {
            let length = rng.usize(..256);
            (0..length).map(|_| rng.u8(..)).collect::<Vec<u8>>()
        })
    }

    #[test]
    fn any_address_and_any_form_is_read_or_refused() {
        let count =
            std::env::var("TRACKER_FUZZ_INPUTS").map_or(4000, |inputs| inputs.parse().expect("a number"));
        let begun = Instant::now();
        for bytes in inputs_of(count) {
            assert!(catch_unwind(|| page(&bytes)).is_ok(), "the input is {bytes:?}");
        }
        println!("page: {count} inputs, {:.0} a second", f64::from(count) / begun.elapsed().as_secs_f64());
    }

    #[test]
    fn forms_and_addresses_are_accepted_and_refused() {
        let mut counts = [0; 5];
        for bytes in inputs_of(4000) {
            let mut source = Source::new(&bytes);
            let is_wrong = query(&mut source).filter(DateTime::UNIX_EPOCH).is_err();
            let given = pairs(&mut source);
            let address = read_address(&format!("/?{}", String::from_utf8_lossy(&given)));
            let form = check_form(&pairs(&mut source));
            let kinds = [is_wrong, address.is_some(), address.is_none(), form.is_some(), form.is_none()];
            for (count, is_of_kind) in counts.iter_mut().zip(kinds) {
                *count += u32::from(is_of_kind);
            }
        }
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    }

    #[test]
    fn what_means_something_else_is_noticed() {
        let query = Query { error: "a&b".to_owned(), ..Query::default() };
        assert_eq!(read_address("/?error=a%26b"), Some(query.clone()));
        assert_ne!(read_address("/?error=a&b"), Some(query));
        assert_eq!(words(" --error 'a b'\\''c' ''"), ["--error", "a b'c", ""]);
        let form = "<input type=\"hidden\" name=\"error\" value=\"&amp;quot;\">";
        assert_eq!(inputs(form), [("error".to_owned(), "&quot;".to_owned())]);
        assert!(check_form(b"action=redrive&all=1").is_none(), "a filter was lost");
    }

    #[test]
    #[should_panic(expected = "a value is not escaped")]
    fn value_that_is_not_escaped_is_noticed() {
        inputs("<input type=\"hidden\" name=\"error\" value=\"a\" autofocus onfocus=\"b\">");
    }

    #[test]
    #[should_panic(expected = "a shell may change")]
    fn argument_without_quotes_is_noticed() {
        words(" --error $HOME");
    }
}
