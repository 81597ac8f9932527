//! The job list as real servers send it, and as broken ones do.

use serde_json::json;

use super::*;
use crate::command_center::{Token, reply::NeverSent, response_memory::ResponseMemory};

fn redaction() -> Redaction {
    Redaction::of([Token::new(b"QSDK 0123456789abcdef").unwrap()])
}

fn answer(status: u16, body: &Value) -> Reply {
    Reply::Answer(Answer::new(status, body.to_string()))
}

fn rows(ids: impl IntoIterator<Item = u64>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({"jobSummary": {"jobId": id, "status": "Running"}})).collect()
}

fn asked_for(limit: u64) -> Pages {
    down_to(0, limit)
}

fn down_to(id: i64, limit: u64) -> Pages {
    down_to_in(id, limit, &ResponseMemory::default())
}

fn down_to_in(id: i64, limit: u64, room: &ResponseMemory) -> Pages {
    Pages::of(limit, &JobQuery::of(&[], Duration::ZERO).down_to(id), room.share("cc", FREE))
}

fn listing(reply: &Reply) -> Listing {
    match asked_for(100).push(reply, false, &redaction()).1 {
        Next::Done(listing) => listing,
        Next::Page(at, _) => panic!("no further page was expected, and not one at {at}"),
    }
}

/// The ids of the list, and true if it is whole.
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
        (json!({"totalRecordsWithoutPaging": "2", "jobs": rows([9, 7])}), (vec![7, 9], true)),
        (json!({"totalRecordsWithoutPaging": 3, "jobs": []}), (vec![], false)),
        (json!({"totalRecordsWithoutPaging": 3}), (vec![], false)),
        (json!({"totalRecordsWithoutPaging": 1, "jobs": rows([9, 7])}), (vec![7, 9], false)),
        (json!({"totalRecordsWithoutPaging": 2, "jobs": rows([9, 9])}), (vec![9], false)),
        (json!({"totalRecordsWithoutPaging": 1, "jobs": [{"jobSummary": {"status": "Running"}}]}), (vec![], false)),
    ];
    for (body, expected) in cases {
        assert_eq!(read(&answer(200, &body)), expected, "{body}");
    }
}

#[test]
fn a_list_without_rows_is_empty_and_it_is_known_whether_it_says_so_in_numbers() {
    let silent = [
        (200, "{}"),
        (200, r#"{"processinginstructioninfo":{"attributes":[]}}"#),
        (200, r#"{"jobs":null}"#),
        (200, r#"{"jobs":[]}"#),
        (200, r#"{"errorCode":0,"errorMessage":""}"#),
        (200, ""),
        (200, " \r\n"),
        (202, "{}"),
        (204, ""),
    ];
    let counted = [
        (200, r#"{"totalRecordsWithoutPaging":0}"#),
        (200, r#"{"totalRecordsWithoutPaging":"0","jobs":[]}"#),
        (404, r#"{"totalRecordsWithoutPaging":0}"#),
    ];
    for (is_silent, answers) in [(true, &silent[..]), (false, &counted)] {
        for (status, body) in answers {
            match listing(&Reply::Answer(Answer::new(*status, *body))) {
                Listing::Read(list) => {
                    assert_eq!(
                        (list.last_id(), list.whole, list.remark == Remark::Silent),
                        (Some(0), true, is_silent),
                        "{status} {body}"
                    );
                }
                other => panic!("{status} {body}: {other:?}"),
            }
        }
    }
}

#[test]
fn pages_are_taken_as_the_server_gives_them_and_no_further_than_to_the_job_that_is_asked_for() {
    let page =
        |from: u64| answer(200, &json!({"totalRecordsWithoutPaging": 1100, "jobs": rows((from - 19..=from).rev())}));
    let reads = |down_to_id: i64| {
        let mut pages = down_to(down_to_id, PAGE);
        for read in 1.. {
            let (next_pages, next) = pages.push(&page(2100 - (read - 1) * 20), false, &redaction());
            match next {
                Next::Page(offset, limit) => assert_eq!((offset, limit), (read * 20, PAGE)),
                Next::Done(Listing::Read(list)) => return (read, list.whole, list.jobs.len(), list.last_id()),
                Next::Done(other) => panic!("{other:?}"),
            }
            pages = next_pages;
        }
        unreachable!()
    };
    assert_eq!(reads(0), (55, true, 1100, Some(2100)));
    assert_eq!(reads(2099), (1, true, 20, Some(2100)));
    assert_eq!(reads(2081), (1, true, 20, Some(2100)));
    assert_eq!(reads(2080), (2, true, 40, Some(2100)));
    assert_eq!(reads(5), (55, true, 1100, Some(2100)), "one that is not listed any more");
}

#[test]
fn where_the_newest_jobs_do_not_come_first_the_whole_list_is_read() {
    let page = |ids: &[u64]| answer(200, &json!({"totalRecordsWithoutPaging": 4, "jobs": rows(ids.iter().copied())}));
    for first in [&[7, 8][..], &[8, 5, 7], &[7]] {
        let (_, next) = down_to(8, 100).push(&page(first), false, &redaction());
        assert!(matches!(next, Next::Page(..)), "{first:?}: {next:?}");
    }
}

#[test]
fn rows_that_the_vendors_clients_do_not_show_count_as_rows_and_are_marked() {
    let body = json!({"totalRecordsWithoutPaging": 2, "jobs": [
        {"jobSummary": {"jobId": 9, "isVisible": false}}, {"jobSummary": {"jobId": 7, "isVisible": true}},
    ]});
    match listing(&answer(200, &body)) {
        Listing::Read(list) => {
            let hidden: Vec<bool> = list.jobs.iter().map(|job| job.hidden).collect();
            assert_eq!((list.whole, list.last_id(), hidden), (true, Some(9), vec![false, true]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_that_takes_more_room_than_there_is_is_cut_and_says_so() {
    let long = "x".repeat(200);
    let row = |id: u64| json!({"jobSummary": {"jobId": id, "pendingReason": long}});
    let of = |count: u64| {
        answer(200, &json!({"totalRecordsWithoutPaging": count, "jobs": (1..=count).map(row).collect::<Vec<_>>()}))
    };
    let read = |count, room: &ResponseMemory| match down_to_in(0, PAGE, room).push(&of(count), false, &redaction()).1 {
        Next::Done(Listing::Read(list)) => list,
        other => panic!("{other:?}"),
    };
    let room = ResponseMemory::default();
    let mut all: Vec<Share> = (0..8).map(|other| room.share(&other.to_string(), 0)).collect();
    for other in &mut all {
        other.try_grow(8 << 20).unwrap();
    }
    let few = read(300, &room);
    assert!(few.whole && few.remark == Remark::Nothing, "some hundred jobs have their place in any case");
    let many = read(2000, &room);
    assert!(!many.whole && many.remark == Remark::Cut && (300..1000).contains(&many.jobs.len()), "{}", many.jobs.len());
    all.clear();
    let held: Vec<JobList> = (0..20).map(|_| read(2000, &room)).collect();
    assert!(
        held.iter().any(|list| list.whole) && held.iter().any(|list| list.remark == Remark::Cut),
        "one Command Center has its part"
    );
    drop(held);
    assert!(read(2000, &room).whole, "what is dropped takes none");
}

#[test]
fn where_others_take_the_room_a_small_page_is_asked_for() {
    let no_room = Reply::NoAnswer(NoAnswer::NoRoom);
    let (read, next) = asked_for(PAGE).push(&no_room, false, &redaction());
    assert!(matches!(next, Next::Page(0, 125)), "{next:?}");
    let (read, next) = read.push(&no_room, false, &redaction());
    assert!(matches!(next, Next::Page(0, 16)), "{next:?}");
    let given_up = read.push(&no_room, false, &redaction()).1;
    let cause = Unusable::NoAnswer(NoAnswer::NoRoom);
    assert!(
        matches!(given_up, Next::Done(Listing::Failed(Unreadable::Unusable(said))) if said == cause),
        "{given_up:?}"
    );
}

#[test]
fn pages_are_read_until_all_rows_are_there_and_a_list_that_changes_meanwhile_is_not_whole() {
    let page = |ids: std::ops::Range<u64>, total: u64| {
        answer(200, &json!({"totalRecordsWithoutPaging": total, "jobs": rows(ids)}))
    };
    let after = |second: &Reply| {
        let (pages, next) = asked_for(100).push(&page(1..101, 130), false, &redaction());
        assert!(matches!(next, Next::Page(100, 100)), "{next:?}");
        pages.push(second, false, &redaction()).1
    };
    let whole = |next| match next {
        Next::Done(Listing::Read(list)) => (list.jobs.len(), list.whole, list.last_id()),
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(after(&page(101..131, 130))), (130, true, Some(130)));
    assert_eq!(whole(after(&page(100..130, 130))), (129, false, None), "a row moved to the page before");
    assert_eq!(whole(after(&page(101..132, 131))), (131, false, None), "a row came meanwhile");
    assert_eq!(whole(after(&page(0..0, 130))), (100, false, None), "the second page is empty");
    let failed = after(&answer(500, &json!({})));
    assert!(matches!(failed, Next::Done(Listing::Failed(Unreadable::Unusable(Unusable::Status(500))))), "{failed:?}");
    assert!(matches!(after(&answer(403, &json!({}))), Next::Done(Listing::NotAllowed(_))));
}

#[test]
fn pages_that_are_too_large_are_asked_for_in_smaller_ones_from_the_same_row_on_but_not_for_ever() {
    let too_large = Reply::NoAnswer(NoAnswer::TooLarge);
    let page = |ids: std::ops::Range<u64>| answer(200, &json!({"totalRecordsWithoutPaging": 2500, "jobs": rows(ids)}));
    let (pages, next) = asked_for(PAGE).push(&page(1..1001), false, &redaction());
    assert!(matches!(next, Next::Page(1000, 1000)), "{next:?}");
    let (pages, next) = pages.push(&too_large, false, &redaction());
    assert!(matches!(next, Next::Page(1000, 500)), "{next:?}");
    let (mut pages, next) = pages.push(&page(1001..1501), false, &redaction());
    assert!(matches!(next, Next::Page(1500, 500)), "{next:?}");
    for smaller in [250, 125, 62, 31, 16] {
        let (read, next) = pages.push(&too_large, false, &redaction());
        assert!(matches!(next, Next::Page(1500, limit) if limit == smaller), "{next:?}");
        pages = read;
    }
    let given_up = pages.push(&too_large, false, &redaction()).1;
    let cause = Unusable::NoAnswer(NoAnswer::TooLarge);
    assert!(
        matches!(given_up, Next::Done(Listing::Failed(Unreadable::Unusable(said))) if said == cause),
        "{given_up:?}"
    );
}

#[test]
fn without_a_total_only_an_empty_page_shows_the_end() {
    let page = |ids: std::ops::Range<u64>| answer(200, &json!({"jobs": rows(ids)}));
    let (pages, next) = asked_for(100).push(&page(1..41), false, &redaction());
    assert!(matches!(next, Next::Page(40, 100)), "a server may give fewer rows than it was asked for: {next:?}");
    let whole = |next| match next {
        Next::Done(Listing::Read(list)) => (list.jobs.len(), list.whole),
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(pages.push(&page(0..0), false, &redaction()).1), (40, true));
    let (pages, _) = asked_for(100).push(&page(1..41), false, &redaction());
    assert_eq!(whole(pages.push(&page(1..41), false, &redaction()).1), (40, false), "it gives the same page again");
}

#[test]
fn a_list_without_end_is_given_up_and_not_taken_for_whole() {
    let read = |rows_of_a_page: u64, late_at: u64| {
        let mut pages = asked_for(100);
        for number in 0.. {
            let first = 1 + number * rows_of_a_page;
            let page = answer(200, &json!({"jobs": rows(first..first + rows_of_a_page)}));
            let (read, next) = pages.push(&page, number + 1 >= late_at, &redaction());
            pages = read;
            if let Next::Done(Listing::Read(list)) = next {
                assert!(!list.whole && list.remark == Remark::Cut);
                return number + 1;
            }
        }
        unreachable!()
    };
    assert_eq!(read(10, u64::MAX), MAX_READS);
    assert_eq!(read(500, u64::MAX), MAX_ROWS / 500);
    assert_eq!(read(10, 7), 7, "no longer than a call may take, and one more");
}

#[test]
fn refusals_errors_and_what_is_no_answer_of_a_command_center_are_told_apart() {
    let failed = |cause| Listing::Failed(Unreadable::Unusable(cause));
    let refused = |kind, code: Option<i64>, text: Option<&str>| Refused {
        kind,
        error_code: code,
        text: text.map(str::to_owned),
        retry_after: None,
        is_page: false,
    };
    let error = |refused| Listing::Read(JobList::failed(refused));
    let denied = r#"{"errorMessage":"Access denied","errorCode":5}"#;
    let rejected = || Listing::NotAllowed(refused(RefusedKind::TokenRejected, Some(5), Some("Access denied")));
    let page = Refused { is_page: true, ..RefusedKind::TokenRejected.into() };
    let no_path = refused(RefusedKind::NotFound, None, Some("no such path"));
    let cases = [
        (401, denied, rejected()),
        (200, denied, rejected()),
        (200, r#"{"errorCode":"5","errorMessage":"Access denied"}"#, rejected()),
        (401, "<html>login</html>", Listing::NotAllowed(page)),
        (403, "{}", Listing::NotAllowed(RefusedKind::Forbidden.into())),
        (403, r#"{"errorMessage":"no"}"#, Listing::NotAllowed(refused(RefusedKind::Forbidden, None, Some("no")))),
        (404, r#"{"errorMessage":"no such path"}"#, Listing::NotAllowed(no_path)),
        (404, r#"{"jobs":[]}"#, Listing::NotAllowed(RefusedKind::NotFound.into())),
        (400, "bad", error(RefusedKind::BadRequest.into())),
        (405, "{}", error(RefusedKind::NotFound.into())),
        (200, r#"{"errorCode":3,"errorMessage":"no"}"#, error(refused(RefusedKind::Error, Some(3), Some("no")))),
        (200, r#"{"errorMessage":"something"}"#, failed(Unusable::NotUnderstood)),
        (200, r#"[{"jobSummary":{"jobId":7}}]"#, failed(Unusable::NotUnderstood)),
        (200, "null", failed(Unusable::NotUnderstood)),
        (200, "OK", failed(Unusable::NotJson)),
        (200, r#"{"jobs":[{"jobSummary":{"jobId":7}}"#, failed(Unusable::NotJson)),
        (200, "<html>", failed(Unusable::WebPage(200))),
        (429, "{}", failed(Unusable::Status(429))),
        (500, r#"{"totalRecordsWithoutPaging":0}"#, failed(Unusable::Status(500))),
        (503, "<html>squid</html>", failed(Unusable::WebPage(503))),
        (407, "", failed(Unusable::ProxyLogin)),
        (302, "", failed(Unusable::Redirect(302))),
        (400, "Client sent an HTTP request to an HTTPS server.", failed(Unusable::SpeaksTls)),
    ];
    for (status, body, expected) in cases {
        assert_eq!(listing(&Reply::Answer(Answer::new(status, body))), expected, "{status} {body}");
    }
    let timeout = NoAnswer::Timeout;
    assert_eq!(listing(&Reply::NoAnswer(timeout)), failed(Unusable::NoAnswer(timeout)));
    let unsent = Listing::Failed(Unreadable::NeverSent(NeverSent::Dns));
    assert_eq!(listing(&Reply::NeverSent(NeverSent::Dns)), unsent);
}

/// The list that these pages make, each given as its total and its ids; and for each page, true if the
/// short list was asked for.
fn narrowed(pages: &[(u64, &[u64])]) -> (JobList, Vec<bool>) {
    let query = JobQuery::of(&[], Duration::from_hours(168))
        .enough(Enough { ended_within: Duration::from_hours(1), requests: ["ours".to_owned()].into() });
    let (mut read, mut at, mut short) =
        (Pages::of(PAGE, &query, ResponseMemory::default().share("cc", FREE)), (0, PAGE), Vec::new());
    for (total, ids) in pages {
        let asked = serde_json::to_value(read.request(&query, at)).unwrap();
        short.push(asked["jobFilter"]["completedJobLookupTime"] == 3600);
        let body = json!({"totalRecordsWithoutPaging": total, "jobs": rows(ids.iter().copied())});
        match read.push(&answer(200, &body), false, &redaction()) {
            (next, Next::Page(offset, limit)) => (read, at) = (next, (offset, limit)),
            (_, Next::Done(Listing::Read(list))) => {
                assert_eq!(short.len(), pages.len(), "no further page is asked for");
                return (list, short);
            }
            (_, Next::Done(other)) => panic!("{other:?}"),
        }
    }
    panic!("another page is asked for, at {at:?}")
}

#[test]
fn of_a_long_list_with_the_newest_jobs_first_a_page_is_read_and_the_short_list() {
    let newest: Vec<u64> = (2081..=2100).rev().collect();
    let (list, short) = narrowed(&[(1100, &newest), (23, &newest), (23, &[1700, 1400, 1003])]);
    assert_eq!(short, [false, true, true], "three calls for 1,100 rows");
    assert_eq!((list.whole, list.last_id(), list.jobs.len()), (true, Some(2100), 23));
    assert!([1003, 1400, 1700, 2081].into_iter().all(|id| list.has(id)));
    let (quiet, short) = narrowed(&[(1100, &newest), (0, &[])]);
    assert_eq!((quiet.whole, quiet.last_id(), short), (true, Some(2100), vec![false, true]));
    let (one_page, short) = narrowed(&[(20, &newest)]);
    assert_eq!((one_page.whole, short), (true, vec![false]));
    let (cut_off, _) = narrowed(&[(1100, &newest), (3, &[2100, 7]), (3, &[])]);
    assert!(!cut_off.whole, "the short list has to be whole");
}

#[test]
fn rows_out_of_order_make_the_whole_list_be_read_so_that_no_job_of_a_later_page_is_missed() {
    // The ids of the first page do not fall.
    let (list, short) = narrowed(&[(6, &[5, 9]), (6, &[8, 4]), (6, &[7, 20])]);
    assert_eq!((list.whole, list.last_id(), short), (true, Some(20), vec![false; 3]));
    // They fall, and the short list shows a job that belongs above or inside the first page.
    for hidden in [20, 7] {
        let (list, short) = narrowed(&[(4, &[9, 5]), (1, &[hidden]), (4, &[hidden, 4])]);
        assert_eq!(short, [false, true, false], "{hidden}");
        assert!(list.whole && list.has(hidden.cast_signed()) && list.jobs.len() == 4, "{hidden}");
    }
    // One row has no order.
    let (list, short) = narrowed(&[(2, &[5]), (2, &[20])]);
    assert_eq!((list.last_id(), short), (Some(20), vec![false; 2]));
}

#[test]
fn a_job_of_an_earlier_object_of_the_name_makes_the_whole_list_be_read() {
    let query = JobQuery::of(&[], Duration::from_hours(168));
    let own = format!("salesforce-backup-operator/n/crm/1c9b5f2e/-/{}", crate::api::AttemptId::random());
    let row = |id: u64, described: &str| json!({"jobSummary": {"jobId": id, "jobDescription": described}});
    let body = json!({"totalRecordsWithoutPaging": 9, "jobs": [row(9, &own), row(8, "")]});
    let Described::Ours { request, .. } = Described::read(&own) else { panic!("it is no description") };
    for (request, is_short) in [(request, false), ("another".to_owned(), true)] {
        let query = query.clone().enough(Enough { ended_within: Duration::from_hours(1), requests: [request].into() });
        let pages = Pages::of(PAGE, &query, ResponseMemory::default().share("cc", FREE));
        let (_, next) = pages.push(&answer(200, &body), false, &redaction());
        let Next::Page(offset, _) = next else { panic!("{next:?}") };
        assert_eq!(offset == 0, is_short);
    }
}
