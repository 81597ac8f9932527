//! Faults as JSON: the body of `PUT /_simulator/faults` goes in, faults come out, and the other way round. Pure.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use crate::simulator::{
    call::Operation,
    faults::{Effect, Fault, On, Reply, Span, When, canned},
    fields::{self, Fields, Wrong},
    options::duration_text,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Delay,
    Answer,
    Drop,
    EndlessBody,
    HugeBody,
    TruncatedBody,
}

const KINDS: [(&str, Kind); 6] = [
    ("answer", Kind::Answer),
    ("drop", Kind::Drop),
    ("delay", Kind::Delay),
    ("endlessBody", Kind::EndlessBody),
    ("hugeBody", Kind::HugeBody),
    ("truncatedBody", Kind::TruncatedBody),
];

/// Headers that belong to the connection: a fault that lies about them would break the server, not the client.
const NOT_SETTABLE: [HeaderName; 3] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];

/// Reads a list of faults.
pub(crate) fn read_all(body: &[u8]) -> Result<Vec<Fault>, Wrong> {
    let Value::Array(sent) = fields::parse(body)? else {
        return Err(Wrong::at(
            "body",
            "must be a list of faults, such as [{\"operation\":\"createTask\",\"kind\":\"drop\",\"when\":\"after\"}]",
        ));
    };
    sent.into_iter()
        .enumerate()
        .map(|(position, fault)| read(Fields::of(format!("faults[{position}]"), fault)?))
        .collect()
}

fn read(mut fields: Fields) -> Result<Fault, Wrong> {
    let on = read_operation(&mut fields)?;
    let kind = fields
        .choice("kind", &KINDS)?
        .ok_or_else(|| Wrong::at(&fields.path_of("kind"), format!("is missing; it is one of {}", names(&KINDS))))?;
    let effect = match kind {
        Kind::Delay => Effect::OnlyDelays,
        _ => Effect::Instead { when: read_when(&mut fields)?, reply: read_reply(&mut fields, kind)? },
    };
    let delay_before = fields.take("delayBefore")?.unwrap_or_default();
    let delay_after = fields.take("delayAfter")?.unwrap_or_default();
    let span = read_span(&mut fields)?;
    let fault = Fault { on, span, delay_before, delay_after, effect };
    if kind == Kind::Delay && fault.delay_before.is_zero() && fault.delay_after.is_zero() {
        return Err(Wrong::at(
            &fields.path_of("delayBefore"),
            "a delay needs a duration here, in delayAfter, or in both",
        ));
    }
    fields.done()?;
    Ok(fault)
}

fn read_operation(fields: &mut Fields) -> Result<On, Wrong> {
    let path = fields.path_of("operation");
    let choices: Vec<(&str, On)> = std::iter::once(("any", On::Any))
        .chain(Operation::ALL.iter().map(|(name, operation)| (*name, On::Only(*operation))))
        .collect();
    fields
        .choice("operation", &choices)?
        .ok_or_else(|| Wrong::at(&path, format!("is missing; it is one of {}", names(&choices))))
}

fn read_when(fields: &mut Fields) -> Result<When, Wrong> {
    let choices = [("before", When::BeforeExecuting), ("after", When::AfterExecuting)];
    fields.choice("when", &choices)?.ok_or_else(|| {
        let meaning =
            "is missing; \"before\": nothing is executed, or \"after\": it is executed, and then the fault strikes";
        Wrong::at(&fields.path_of("when"), meaning)
    })
}

fn read_reply(fields: &mut Fields, kind: Kind) -> Result<Reply, Wrong> {
    Ok(match kind {
        Kind::Answer => {
            let path = fields.path_of("status");
            let status: u64 = fields.need("status")?;
            let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.ok_or_else(|| Wrong::at(&path, "must be a status from 200 to 599"))?;
            let body = match fields.take("body")? {
                None => Bytes::new(),
                Some(Value::String(text)) => text.into(),
                Some(json) => json.to_string().into(),
            };
            let mut answer = canned(status, body);
            answer.headers.extend(read_headers(fields)?);
            Reply::Answer(answer)
        }
        Kind::EndlessBody => Reply::EndlessBody,
        Kind::HugeBody => Reply::HugeBody,
        Kind::TruncatedBody => Reply::TruncatedBody,
        Kind::Drop | Kind::Delay => Reply::Dropped,
    })
}

fn read_headers(fields: &mut Fields) -> Result<HeaderMap, Wrong> {
    let path = fields.path_of("headers");
    let sent: Map<String, Value> = fields.take("headers")?.unwrap_or_default();
    let read = |(name, value): (String, Value)| {
        let wrong = |problem: &str| Wrong::at(&format!("{path}.{name}"), problem);
        let header = HeaderName::try_from(&name).map_err(|_| wrong("is not a header name"))?;
        if NOT_SETTABLE.contains(&header) {
            return Err(wrong("belongs to the connection; use the kinds drop, endlessBody, hugeBody or truncatedBody"));
        }
        let text = value.as_str().ok_or_else(|| wrong("must be a string"))?;
        Ok((header, HeaderValue::try_from(text).map_err(|_| wrong("is not a header value"))?))
    };
    sent.into_iter().map(read).collect()
}

fn read_span(fields: &mut Fields) -> Result<Span, Wrong> {
    let times: Option<u32> = fields.take("times")?;
    let share: Option<f64> = fields.take("share")?;
    match (times, share) {
        (None, None) => Ok(Span::UntilRemoved),
        (Some(0), _) => Err(Wrong::at(&fields.path_of("times"), "must be 1 or more; leave it out for: until removed")),
        (Some(times), None) => Ok(Span::Next(times)),
        (None, Some(share)) if (0.0..=1.0).contains(&share) => Ok(Span::Share(share)),
        (None, Some(_)) => Err(Wrong::at(&fields.path_of("share"), "must be from 0 to 1")),
        (Some(_), Some(_)) => Err(Wrong::at(&fields.path_of("share"), "does not go together with times")),
    }
}

fn names<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The faults in force, with the calls that are left to them.
pub(crate) fn show_all(faults: &[Fault]) -> Value {
    faults.iter().map(show).collect()
}

fn show(fault: &Fault) -> Value {
    let (kind, when) = match &fault.effect {
        Effect::OnlyDelays => (Kind::Delay, None),
        Effect::Instead { when, reply } => (kind_of(reply), Some(*when)),
    };
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    put(
        "operation",
        json!(match fault.on {
            On::Any => "any",
            On::Only(operation) => operation.name(),
        }),
    );
    put("kind", json!(KINDS.iter().find(|(_, known)| *known == kind).map(|(name, _)| *name)));
    if let Some(when) = when {
        put("when", json!(if when == When::BeforeExecuting { "before" } else { "after" }));
    }
    if let Effect::Instead { reply: Reply::Answer(answer), .. } = &fault.effect {
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))));
        put("status", json!(answer.status.as_u16()));
        put("headers", headers.collect::<Map<_, _>>().into());
        put("body", json!(String::from_utf8_lossy(&answer.body)));
    }
    for (key, delay) in [("delayBefore", fault.delay_before), ("delayAfter", fault.delay_after)] {
        if !delay.is_zero() {
            put(key, json!(duration_text(delay)));
        }
    }
    match fault.span {
        Span::UntilRemoved => {}
        Span::Next(left) => put("times", json!(left)),
        Span::Share(share) => put("share", json!(share)),
    }
    Value::Object(shown)
}

fn kind_of(reply: &Reply) -> Kind {
    match reply {
        Reply::Answer(_) => Kind::Answer,
        Reply::Dropped => Kind::Drop,
        Reply::EndlessBody => Kind::EndlessBody,
        Reply::HugeBody => Kind::HugeBody,
        Reply::TruncatedBody => Kind::TruncatedBody,
    }
}
