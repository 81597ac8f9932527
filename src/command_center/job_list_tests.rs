//! The job list as real servers give it, and as broken ones do.

use serde_json::json;

use super::*;
use crate::command_center::outcome::{NeverSent, NoAnswer};

fn token() -> Token {
    Token::new(b"QSDK 0123456789abcdef").unwrap()
}

fn answer(status: u16, body: &Value) -> Reply {
    Reply::Answer(Answer::new(status, body.to_string()))
}

fn rows(ids: impl IntoIterator<Item = u64>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({"jobSummary": {"jobId": id, "status": "Running"}})).collect()
}

fn listing(reply: &Reply) -> Listing {
    match Pages::of(100).push(reply, &token()).1 {
        Next::Done(listing) => listing,
        Next::Page(at, _) => panic!("no further page was expected, and not one at {at}"),
    }
}

/// The ids of the list, and whether it is whole.
fn read(reply: &Reply) -> (Vec<i64>, bool) {
    match listing(reply) {
        Listing::Read(list) => (list.jobs.iter().map(|job| job.shown.id.number()).collect(), list.whole),
        other => panic!("a list was expected: {other:?}"),
    }
}

#[test]
fn the_request_is_the_one_that_the_vendors_clients_send() {
    let targets = [12, 11, 12].map(|id| Target { client_id: Some(id), ..Target::default() });
    let sent = serde_json::to_value(JobQuery::of(&targets, Duration::from_mins(10)).page((400, 250))).unwrap();
    let expected = json!({
        "scope": 1, "category": 0,
        "pagingConfig": {"sortField": "jobId", "sortDirection": 1, "offset": 400, "limit": 250},
        "jobFilter": {
            "completedJobLookupTime": 600, "showAgedJobs": false, "hideAdminJobs": false,
            "clientList": [{"clientId": 11}, {"clientId": 12}], "jobTypeList": [], "statusList": [],
        },
    });
    assert_eq!(sent, expected);
    let named = [Target { client_id: Some(1), ..Target::default() }, Target::default()];
    assert!(JobQuery::of(&named, Duration::ZERO).clients.is_empty(), "a target without a client needs all of them");
}

#[test]
fn a_list_is_whole_when_as_many_rows_were_read_as_there_are() {
    let cases = [
        (json!({"totalRecordsWithoutPaging": 2, "jobs": rows([9, 7])}), (vec![7, 9], true)),
        (json!({"totalRecordsWithoutPaging": 0, "jobs": []}), (vec![], true)),
        (json!({"totalRecordsWithoutPaging": 0}), (vec![], true)),
        (json!({"jobs": []}), (vec![], false)),
        (json!({"totalRecordsWithoutPaging": 3, "jobs": []}), (vec![], false)),
        (json!({"totalRecordsWithoutPaging": 1, "jobs": rows([9, 7])}), (vec![7, 9], false)),
        (json!({"totalRecordsWithoutPaging": 2, "jobs": rows([9, 9])}), (vec![9], false)),
        (json!({"totalRecordsWithoutPaging": 1, "jobs": [{"jobSummary": {"status": "Running"}}]}), (vec![], false)),
    ];
    for (body, expected) in cases {
        assert_eq!(read(&answer(200, &body)), expected, "{body}");
    }
    assert_eq!(read(&answer(404, &json!({"totalRecordsWithoutPaging": 0}))), (vec![], true));
}

#[test]
fn pages_are_read_until_all_rows_are_there_and_a_list_that_changes_meanwhile_is_not_whole() {
    let page = |ids: std::ops::Range<u64>, total: u64| {
        answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": rows(ids)}))
    };
    let after = |second: &Reply| {
        let (pages, next) = Pages::of(100).push(&page(1..101, 130), &token());
        assert!(matches!(next, Next::Page(100, 100)), "{next:?}");
        pages.push(second, &token()).1
    };
    let whole = |next| match next {
        Next::Done(Listing::Read(list)) => (list.jobs.len(), list.whole, list.last_id()),
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(after(&page(101..131, 130))), (130, true, Some(130)));
    assert_eq!(whole(after(&page(100..130, 130))), (129, false, None), "a row moved to the page before");
    assert_eq!(whole(after(&page(101..132, 131))), (131, false, None), "a row came meanwhile");
    assert_eq!(whole(after(&page(0..0, 130))), (100, false, None), "the second page is empty");
    assert!(matches!(after(&answer(500, &json!({}))), Next::Done(Listing::Failed(Unreadable::Unavailable))));
    assert!(matches!(after(&answer(403, &json!({}))), Next::Done(Listing::NotAllowed(RefusedKind::Forbidden))));
}

#[test]
fn pages_that_are_too_large_are_asked_for_in_smaller_ones_from_the_same_row_on_but_not_for_ever() {
    let too_large = Reply::NoAnswer(NoAnswer::TooLarge);
    let page = |ids: std::ops::Range<u64>| answer(200, &json!({"totalRecordsWithoutPaging": 2500, "jobs": rows(ids)}));
    let (pages, next) = Pages::of(PAGE).push(&page(1..1001), &token());
    assert!(matches!(next, Next::Page(1000, 1000)), "{next:?}");
    let (pages, next) = pages.push(&too_large, &token());
    assert!(matches!(next, Next::Page(1000, 500)), "{next:?}");
    let (mut pages, next) = pages.push(&page(1001..1501), &token());
    assert!(matches!(next, Next::Page(1500, 500)), "{next:?}");
    for smaller in [250, 125, 62, 31, 16] {
        let (read, next) = pages.push(&too_large, &token());
        assert!(matches!(next, Next::Page(1500, limit) if limit == smaller), "{next:?}");
        pages = read;
    }
    let given_up = pages.push(&too_large, &token()).1;
    assert!(matches!(given_up, Next::Done(Listing::Failed(Unreadable::Unavailable))), "{given_up:?}");
}

#[test]
fn without_a_total_only_an_empty_page_shows_the_end() {
    let page = |ids: std::ops::Range<u64>| answer(200, &json!({"jobs": rows(ids)}));
    let (pages, next) = Pages::of(100).push(&page(1..41), &token());
    assert!(matches!(next, Next::Page(40, 100)), "a server may give fewer rows than it was asked for: {next:?}");
    let whole = |next| match next {
        Next::Done(Listing::Read(list)) => (list.jobs.len(), list.whole),
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(pages.push(&page(0..0), &token()).1), (40, true));
    let (pages, _) = Pages::of(100).push(&page(1..41), &token());
    assert_eq!(whole(pages.push(&page(1..41), &token()).1), (40, false), "it gives the same page again");
}

#[test]
fn a_list_without_end_is_given_up_and_not_taken_for_whole() {
    let mut pages = Pages::of(100);
    for number in 0..MAX_PAGES {
        let first = 1 + number * 10;
        let (read, next) = pages.push(&answer(200, &json!({"jobs": rows(first..first + 10)})), &token());
        pages = read;
        if let Next::Done(Listing::Read(list)) = next {
            assert_eq!((number + 1, list.whole), (MAX_PAGES, false));
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn a_refusal_a_failure_and_an_empty_list_are_told_apart() {
    let unavailable = || Listing::Failed(Unreadable::Unavailable);
    let cases = [
        (401, json!({"errorCode": 5}), Listing::NotAllowed(RefusedKind::TokenRejected)),
        (403, json!({}), Listing::NotAllowed(RefusedKind::Forbidden)),
        (404, json!({"errorMessage": "no such path"}), Listing::NotAllowed(RefusedKind::NotFound)),
        (404, json!({"jobs": []}), Listing::NotAllowed(RefusedKind::NotFound)),
        (400, json!("bad"), Listing::Read(JobList::default())),
        (405, json!({}), Listing::Read(JobList::default())),
        (200, json!({"errorCode": 3, "errorMessage": "no"}), Listing::Read(JobList::default())),
        (200, json!({"errorCode": 0}), unavailable()),
        (200, json!({}), unavailable()),
        (200, json!({"jobs": null}), unavailable()),
        (429, json!({}), unavailable()),
        (500, json!({"totalRecordsWithoutPaging": 0}), unavailable()),
        (302, json!({}), unavailable()),
    ];
    for (status, body, expected) in cases {
        assert_eq!(listing(&answer(status, &body)), expected, "{status} {body}");
    }
    assert_eq!(listing(&Reply::NoAnswer(NoAnswer::Timeout)), unavailable());
    let unsent = Listing::Failed(Unreadable::NeverSent(NeverSent::Dns));
    assert_eq!(listing(&Reply::NeverSent(NeverSent::Dns)), unsent);
    let page = Answer::new(200, "<html>");
    assert_eq!(listing(&Reply::Answer(page)), unavailable());
}
