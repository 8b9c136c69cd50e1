const _: () = {
    use ::tracker_core::__private;
    use __private::NoTable as _;
    const __SPEC: __private::TrackerSpec = __private::TrackerSpec {
        layout: __private::LayoutSpec {
            prefix: "task_",
            names: &[("key", "pk"), ("update_time", "gsi1sk"), ("value", "gsi1pk")],
            sort_key: __private::Some(("sk", __private::Some("TASK"))),
        },
        more_pending: &[],
        task_id: "id",
        fields: &[
            __private::FieldSpec {
                name: "status",
                stored: "status",
                attribute: true,
            },
        ],
        ..__private::spec("Order", "orders", __private::TableOf::<OrderStatus>::TABLE)
    };
    #[automatically_derived]
    impl __private::StatusTracker for Order {
        type Status = OrderStatus;
        type TaskId = String;
        const __SPEC: __private::TrackerSpec = __SPEC;
        fn task_id(&self) -> &String {
            &self.id
        }
        fn __fields(
            __from: __private::Option<&Self>,
            __fields: &mut __private::Fields<'_>,
        ) -> __private::Option<Self> {
            let __id = __fields.task_id::<Self>(__from.map(|__from| &__from.id));
            let __0 = __fields
                .attribute::<String>("status", __from.map(|__from| &__from.status));
            __private::Some(Self { id: __id?, status: __0? })
        }
    }
};
