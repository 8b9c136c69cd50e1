//! Counts the capacity units that requests use: each request asks for them, and each response says them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut, Input, Output,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tracker_core::aws_sdk_dynamodb::operation::{
    batch_get_item, delete_item, get_item, put_item, query, scan, update_item,
};
use tracker_core::aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};

/// Counts the units that the requests of a client use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Units(Arc<Mutex<Used>>);

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    read: f64,
    write: f64,
    requests: u64,
}

impl Units {
    /// Returns the read units that were used so far.
    #[cfg(feature = "serve")]
    pub(crate) fn read(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Used { read, write, requests } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "{read:.1} read units, {write:.1} write units, {requests} requests")
    }
}

/// Asks for the units of a request, if it is of one of these types.
macro_rules! ask {
    ($input:expr, $($type:ty),* $(,)?) => {
        $(
            if let Some(input) = $input.downcast_mut::<$type>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            }
        )*
    };
}

/// Returns the units of a response, if it is of one of these types.
macro_rules! told {
    ($output:expr, $($type:ty),* $(,)?) => {
        None $(
            .or_else(|| $output.downcast_ref::<$type>().and_then(|output| output.consumed_capacity.as_ref()))
        )*
    };
}

fn ask_for_units(input: &mut Input) {
    ask!(
        input,
        get_item::GetItemInput,
        query::QueryInput,
        scan::ScanInput,
        batch_get_item::BatchGetItemInput,
        update_item::UpdateItemInput,
        put_item::PutItemInput,
        delete_item::DeleteItemInput,
    );
}

#[dyn_dispatch_hint]
impl Intercept for Units {
    fn name(&self) -> &'static str {
        "Units"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask_for_units(context.input_mut());
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.requests += 1;
        if let Ok(output) = context.output_or_error() {
            used.add(output);
        }
        Ok(())
    }
}

impl Used {
    fn add(&mut self, output: &Output) {
        let units = |capacity: &ConsumedCapacity| capacity.capacity_units().unwrap_or(0.0);
        let read = told!(output, get_item::GetItemOutput, query::QueryOutput, scan::ScanOutput);
        let write = told!(
            output,
            update_item::UpdateItemOutput,
            put_item::PutItemOutput,
            delete_item::DeleteItemOutput,
        );
        self.read += read.map_or(0.0, units);
        self.write += write.map_or(0.0, units);
        if let Some(batch) = output.downcast_ref::<batch_get_item::BatchGetItemOutput>() {
            self.read += batch.consumed_capacity().iter().map(units).sum::<f64>();
        }
    }
}
