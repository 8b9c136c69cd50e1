//! Declarations: statuses, structs, and what the derives make of them.

mod derives;
mod generated_code;
mod names;
