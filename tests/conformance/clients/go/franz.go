package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct{ bootstrap []string }

var franzCodecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (f franz) produce(ctx context.Context, topic, codec string, values []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap...), kgo.ProducerBatchCompression(franzCodecs[codec]))
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(value), Value: []byte(value)})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func (f franz) consume(ctx context.Context, topic, group string, done func(string) bool) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(f.bootstrap...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		finished := false
		fetches.EachRecord(func(record *kgo.Record) { finished = done(string(record.Value)) })
		if finished {
			return client.CommitUncommittedOffsets(ctx)
		}
	}
}
