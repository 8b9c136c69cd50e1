//! The stream of a world's table.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodbstreams::types::{AttributeValue, ShardIteratorType};
use aws_sdk_dynamodbstreams::{Client, Config};
use tracker_core::aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};

use super::World;

/// The image of an item in a record.
pub type Image = HashMap<String, AttributeValue>;

impl World {
    /// Switches the stream of the table on.
    pub async fn enable_stream(&self) {
        let specification = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewAndOldImages)
            .build();
        let update = self.client.update_table().table_name(&self.table);
        update.stream_specification(specification.expect("a specification")).send().await.expect("an answer");
    }

    /// The images before and after each change of the items whose key begins with `extract`, in the order of the changes.
    pub async fn stream_images(&self) -> Vec<(Option<Image>, Option<Image>)> {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(self.endpoint.as_deref().unwrap_or("http://embedded.invalid"));
        config.set_http_client(self.client.config().http_client());
        let client = Client::from_conf(config.build());
        let described = self.client.describe_table().table_name(&self.table).send().await.expect("an answer");
        let stream = described.table.and_then(|table| table.latest_stream_arn).expect("a stream");
        let described = client.describe_stream().stream_arn(&stream).send().await.expect("an answer");
        let mut images = Vec::new();
        for shard in described.stream_description().expect("a description").shards() {
            let iterator = client
                .get_shard_iterator()
                .stream_arn(&stream)
                .set_shard_id(shard.shard_id().map(str::to_owned))
                .shard_iterator_type(ShardIteratorType::TrimHorizon);
            let mut next = iterator.send().await.expect("an answer").shard_iterator;
            while let Some(iterator) = next {
                let page = client.get_records().shard_iterator(iterator).send().await.expect("an answer");
                // An open shard has a next iterator for ever.
                next = page
                    .next_shard_iterator
                    .filter(|_| page.records.as_ref().is_some_and(|all| !all.is_empty()));
                let changes =
                    page.records.unwrap_or_default().into_iter().filter_map(|record| record.dynamodb);
                images.extend(changes.map(|change| (change.old_image, change.new_image)));
            }
        }
        let is_task = |image: &Option<Image>| {
            let key = image.as_ref().and_then(|image| image.get(self.layout.name_of("key"))?.as_s().ok());
            key.is_some_and(|key| key.starts_with("extract"))
        };
        images.retain(|(old, new)| is_task(old) || is_task(new));
        images
    }
}
