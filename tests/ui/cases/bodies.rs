//! Uses bodies that a worker cannot run.

use std::rc::Rc;

use tracker_core::{StatusTracker, Tracker};

fn captures_an_rc<T: StatusTracker>(documents: &Tracker<T>) {
    let shared = Rc::new(1);
    let _ = documents.worker().run(async move |_task| {
        std::future::ready(()).await;
        drop(shared);
        Ok(())
    });
}

fn holds_an_rc_over_an_await<T: StatusTracker>(documents: &Tracker<T>) {
    let _ = documents.worker().run(async move |_task| {
        let own = Rc::new(1);
        std::future::ready(()).await;
        drop(own);
        Ok(())
    });
}

fn borrows<T: StatusTracker>(documents: &Tracker<T>, name: &str) {
    let _ = documents.worker().run(async |_task| {
        println!("{name}");
        Ok(())
    });
}

fn returns_something<T: StatusTracker>(documents: &Tracker<T>) {
    let _ = documents.worker().run(async move |_task| Ok(1));
}

fn mutates_what_it_captures<T: StatusTracker>(documents: &Tracker<T>) {
    let mut sum = 0;
    let _ = documents.worker().run(async move |_task| {
        sum += 1;
        Ok(())
    });
}

fn main() {}
