//! The state of the delivery as a whole, in a word. Pure.

use serde::Serialize;

use super::{Delivery, Lane, LaneState};

/// Classes of errors in which the database was not reached, as in [`Delivery::failures`].
pub const NOT_REACHED: [&str; 2] = ["connection", "timeout"];

/// State of the delivery to the database, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// All lanes deliver, or have nothing to deliver.
    Delivering,
    /// No attempt has ended yet.
    Connecting,
    /// An attempt failed for another reason than that the database was not reached: a full disk, a lock, a
    /// database that is read-only. It is repeated.
    Retrying,
    /// The database was not reached. The attempt is repeated.
    Away,
    /// A lane, or the start of the lanes, needs operator action; or a lane is halted.
    Blocked,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Delivering, Self::Connecting, Self::Retrying, Self::Away, Self::Blocked];

    /// The state in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivering => "delivering",
            Self::Connecting => "connecting",
            Self::Retrying => "retrying",
            Self::Away => "away",
            Self::Blocked => "blocked",
        }
    }

    /// The state of a delivery: that of the lane that is worst off, or of the attempt to start the lanes.
    #[must_use]
    pub fn from_delivery(delivery: &Delivery) -> Self {
        let failed = |class: Option<&str>| match class {
            Some(class) if NOT_REACHED.contains(&class) => Self::Away,
            _ => Self::Retrying,
        };
        let lanes = &delivery.lanes;
        if lanes.is_empty() {
            return match &delivery.last_error {
                Some(_) if delivery.needs_operator => Self::Blocked,
                Some(_) => failed(delivery.last_error_class.as_deref()),
                None => Self::Connecting,
            };
        }
        let states = lanes.iter().map(|lane| match lane.state {
            LaneState::CaughtUp | LaneState::Draining => Self::Delivering,
            LaneState::Connecting => Self::Connecting,
            LaneState::Retrying | LaneState::Stopped => failed(lane.last_error_class.as_deref()),
            LaneState::NeedsOperator | LaneState::Halted => Self::Blocked,
        });
        states.max().unwrap_or(Self::Connecting)
    }

    /// The error that explains the state; `None` if the delivery works, or no attempt has ended yet.
    #[must_use]
    pub fn error(self, delivery: &Delivery) -> Option<&str> {
        if delivery.lanes.is_empty() {
            return delivery.last_error.as_deref();
        }
        let is_away =
            |lane: &Lane| lane.last_error_class.as_deref().is_some_and(|class| NOT_REACHED.contains(&class));
        let is_cause = |lane: &&Lane| match self {
            Self::Delivering | Self::Connecting => false,
            Self::Blocked => matches!(lane.state, LaneState::NeedsOperator | LaneState::Halted),
            // The error of a healthy lane is over.
            Self::Retrying => !lane.state.is_healthy() && !is_away(lane) && lane.last_error.is_some(),
            Self::Away => !lane.state.is_healthy() && is_away(lane),
        };
        delivery.lanes.iter().find(is_cause).and_then(|lane| lane.last_error.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(state: LaneState, class: &str) -> Lane {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Lane { state, last_error: text(class), last_error_class: text(class), ..Lane::default() }
    }

    #[test]
    fn only_a_database_that_was_not_reached_is_away() {
        use DeliveryState::{Away, Blocked, Connecting, Delivering, Retrying};
        use LaneState::{CaughtUp, Draining, Halted, NeedsOperator, Retrying as Retries};
        let connecting = LaneState::Connecting;
        for (lanes, state, error) in [
            (&[(CaughtUp, ""), (Draining, "53")][..], Delivering, None),
            (&[(connecting, ""), (CaughtUp, "")], Connecting, None),
            // 53100: no space; 25006: read-only; 55P03: lock not available.
            (&[(Retries, "53"), (CaughtUp, "connection")], Retrying, Some("53")),
            (&[(connecting, ""), (Retries, "25")], Retrying, Some("25")),
            (&[(Retries, "55")], Retrying, Some("55")),
            (&[(Retries, "log")], Retrying, Some("log")),
            (&[(Retries, "53"), (Retries, "connection")], Away, Some("connection")),
            (&[(CaughtUp, ""), (Retries, "timeout")], Away, Some("timeout")),
            (&[(Retries, "connection"), (NeedsOperator, "42")], Blocked, Some("42")),
            (&[(Halted, "23"), (CaughtUp, "")], Blocked, Some("23")),
        ] {
            let lanes = lanes.iter().map(|(state, class)| lane(*state, class)).collect();
            let delivery = Delivery { lanes, ..Delivery::default() };
            let found = DeliveryState::from_delivery(&delivery);
            assert_eq!((found, found.error(&delivery)), (state, error), "{:?}", delivery.lanes);
        }
        for (class, state) in [("", Connecting), ("connection", Away), ("timeout", Away), ("53", Retrying)] {
            let Lane { last_error, last_error_class, .. } = lane(Retries, class);
            let delivery = Delivery { last_error, last_error_class, ..Delivery::default() };
            let found = DeliveryState::from_delivery(&delivery);
            assert_eq!(found, state, "{class}");
            assert_eq!(found.error(&delivery).unwrap_or_default(), class);
            let delivery = Delivery { needs_operator: true, ..delivery };
            let expected = if class.is_empty() { Connecting } else { Blocked };
            assert_eq!(DeliveryState::from_delivery(&delivery), expected, "{class}");
        }
        for state in DeliveryState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
