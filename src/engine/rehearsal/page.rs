//! The page: what the engineer on call is told. It names what people see, never the cause, and its time is some seconds
//! wrong, in the zone of the people who noticed (in recoveries done by hand: 4 s before to 8 s after the accident).

use crate::engine::rehearsal::configuration::TIMEZONE;
use crate::engine::rehearsal::scenario::Scenario;
use chrono::{DateTime, Utc};

/// How wrong a page's time may be, in seconds: from so many before the accident to so many after it.
pub(super) const WRONG_BY_SECONDS: (i64, i64) = (-4, 8);

/// What people see of an accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symptom {
    /// Payments are missing.
    FewPayments,
    /// Nobody is found among the customers; the payments are missing as well, but that isn't as loud.
    NoCustomers,
    /// The table of orders is gone.
    NoOrders,
    /// The table of payments is gone.
    NoPayments,
    /// The database doesn't answer.
    NoDatabase,
}

/// The text of the page, for a moment as people remember it.
pub(super) fn text(scenario: Scenario, symptom: Symptom, says: DateTime<Utc>) -> String {
    let said = says.with_timezone(&TIMEZONE);
    let seen = match symptom {
        Symptom::FewPayments => {
            "Payments are missing in the shop: customers who paid long ago get reminders. Placing orders works."
        }
        Symptom::NoCustomers => {
            "Nobody can log in: the shop says of every customer that there is none. Support also reports a few reminders sent to customers who say they have paid."
        }
        Symptom::NoOrders => {
            "Orders are missing in the shop: every order page shows an error, and no order can be placed."
        }
        Symptom::NoPayments => "Checkout is broken: orders come in unpaid, and the payments page shows an error.",
        Symptom::NoDatabase => {
            "The shop is down: the application can't reach its database, and the disk alarm of the host went off."
        }
    };
    let wanted = match scenario {
        Scenario::LostDataDirectory => "Get the shop back with as little lost as possible.",
        Scenario::DeletedRows | Scenario::DroppedTable => {
            "Get back what was there before. Tell us what is lost, and when the shop may write again."
        }
    };
    format!(
        "PAGE  shop, production\n\n{seen}\nSince about {time} local time ({zone}, {day}).\n{wanted}\n",
        time = said.format("%H:%M:%S"),
        zone = TIMEZONE.name(),
        day = said.format("%a %-d %b %Y"),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn it_speaks_in_local_time() {
        let says = "2026-11-22T23:13:07Z".parse().unwrap();
        let text = text(Scenario::DroppedTable, Symptom::NoOrders, says);
        assert!(text.contains("Since about 02:13:07 local time (Europe/Istanbul, Mon 23 Nov 2026)."), "{text}");
    }

    #[test]
    fn it_names_what_people_see_and_never_the_cause() {
        let says = "2026-11-22T23:13:07Z".parse().unwrap();
        for (scenario, symptom) in [
            (Scenario::DeletedRows, Symptom::FewPayments),
            (Scenario::DeletedRows, Symptom::NoCustomers),
            (Scenario::DroppedTable, Symptom::NoOrders),
            (Scenario::DroppedTable, Symptom::NoPayments),
            (Scenario::LostDataDirectory, Symptom::NoDatabase),
        ] {
            let text = text(scenario, symptom, says).to_lowercase();
            for word in ["delete", "drop", "truncate", "data directory", "night job", "scenario"] {
                assert!(!text.contains(word), "{symptom:?} says {word}: {text}");
            }
        }
    }
}
