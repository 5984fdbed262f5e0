//! A subscriber that keeps everything it is told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

pub(crate) type Fields = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    /// Its place among the captured spans.
    pub(crate) parent: Option<usize>,
    pub(crate) fields: Fields,
    pub(crate) closed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) level: Level,
    pub(crate) target: String,
    /// The innermost span it stands in, by its place.
    pub(crate) span: Option<usize>,
    pub(crate) fields: Fields,
}

#[derive(Debug, Default)]
struct Captured {
    spans: Vec<Span>,
    events: Vec<Event>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    captured: Arc<Mutex<Captured>>,
    /// Spans of calls are not wanted.
    no_calls: bool,
}

struct Place(usize);

impl Capture {
    /// Captures what happens on this thread until the guard is dropped.
    pub(crate) fn start() -> (Self, DefaultGuard) {
        Self::default().install()
    }

    /// As [`start`](Self::start), but wants no spans of calls.
    pub(crate) fn without_calls() -> (Self, DefaultGuard) {
        let capture = Self {
            no_calls: true,
            ..Self::default()
        };
        capture.install()
    }

    fn install(self) -> (Self, DefaultGuard) {
        let guard = tracing::subscriber::set_default(Registry::default().with(self.clone()));
        (self, guard)
    }

    fn lock(&self) -> MutexGuard<'_, Captured> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans of calls, in the order they were built.
    pub(crate) fn calls(&self) -> Vec<Span> {
        let spans = &self.lock().spans;
        let calls = spans.iter().filter(|span| span.target == "softbus::call");
        calls.cloned().collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.lock().spans.clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Events of a target with this message.
    pub(crate) fn said(&self, target: &str, message: &str) -> Vec<Event> {
        let events = self.events().into_iter();
        events
            .filter(|event| event.target == target && event.fields["message"] == message)
            .collect()
    }

    /// All that could end up in a log.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.lock())
    }
}

struct Visitor<'a>(&'a mut Fields);

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !(self.no_calls && metadata.target() == "softbus::call")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent();
        let parent = parent.and_then(|parent| Some(parent.extensions().get::<Place>()?.0));
        let mut fields = Fields::new();
        attributes.record(&mut Visitor(&mut fields));
        let mut captured = self.lock();
        span.extensions_mut().insert(Place(captured.spans.len()));
        captured.spans.push(Span {
            name: attributes.metadata().name(),
            target: attributes.metadata().target(),
            parent,
            fields,
            closed: false,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let place = span.extensions().get::<Place>().map(|place| place.0);
        if let Some(place) = place {
            values.record(&mut Visitor(&mut self.lock().spans[place].fields));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields));
        let span = context.event_span(event);
        let span = span.and_then(|span| Some(span.extensions().get::<Place>()?.0));
        self.lock().events.push(Event {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            span,
            fields,
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let place = span.extensions().get::<Place>().map(|place| place.0);
        if let Some(place) = place {
            self.lock().spans[place].closed = true;
        }
    }
}
