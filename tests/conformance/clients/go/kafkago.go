package main

import (
	"context"
	"errors"
	"time"

	segment "github.com/segmentio/kafka-go"
)

type kafkaGo struct{ bootstrap []string }

var kafkaGoCodecs = map[string]segment.Compression{
	"none":   0,
	"gzip":   segment.Gzip,
	"snappy": segment.Snappy,
	"lz4":    segment.Lz4,
	"zstd":   segment.Zstd,
}

func (k kafkaGo) produce(ctx context.Context, topic, codec string, values []string) error {
	writer := &segment.Writer{
		Addr:         segment.TCP(k.bootstrap...),
		Topic:        topic,
		RequiredAcks: segment.RequireAll,
		Compression:  kafkaGoCodecs[codec],
		BatchTimeout: 10 * time.Millisecond,
	}
	var messages []segment.Message
	for _, value := range values {
		messages = append(messages, segment.Message{Key: []byte(value), Value: []byte(value)})
	}
	return errors.Join(writer.WriteMessages(ctx, messages...), writer.Close())
}

func (k kafkaGo) consume(ctx context.Context, topic, group string, done func(string) bool) error {
	reader := segment.NewReader(segment.ReaderConfig{
		Brokers:     k.bootstrap,
		GroupID:     group,
		Topic:       topic,
		StartOffset: segment.FirstOffset,
		MaxWait:     100 * time.Millisecond,
	})
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return errors.Join(err, reader.Close())
		}
		finished := done(string(message.Value))
		if err := reader.CommitMessages(ctx, message); err != nil {
			return errors.Join(err, reader.Close())
		}
		if finished {
			return reader.Close()
		}
	}
}
