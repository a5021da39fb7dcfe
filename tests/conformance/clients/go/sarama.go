package main

import (
	"context"
	"errors"

	ibm "github.com/IBM/sarama"
)

type sarama struct{ bootstrap []string }

var saramaCodecs = map[string]ibm.CompressionCodec{
	"none":   ibm.CompressionNone,
	"gzip":   ibm.CompressionGZIP,
	"snappy": ibm.CompressionSnappy,
	"lz4":    ibm.CompressionLZ4,
	"zstd":   ibm.CompressionZSTD,
}

func (s sarama) produce(_ context.Context, topic, codec string, values []string) error {
	config := ibm.NewConfig()
	config.Producer.RequiredAcks = ibm.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	config.Producer.Compression = saramaCodecs[codec]
	producer, err := ibm.NewSyncProducer(s.bootstrap, config)
	if err != nil {
		return err
	}
	var messages []*ibm.ProducerMessage
	for _, value := range values {
		messages = append(messages, &ibm.ProducerMessage{
			Topic: topic,
			Key:   ibm.StringEncoder(value),
			Value: ibm.StringEncoder(value),
		})
	}
	return errors.Join(producer.SendMessages(messages), producer.Close())
}

func (s sarama) consume(ctx context.Context, topic, group string, done func(string) bool) error {
	config := ibm.NewConfig()
	config.Consumer.Offsets.Initial = ibm.OffsetOldest
	client, err := ibm.NewConsumerGroup(s.bootstrap, group, config)
	if err != nil {
		return err
	}
	// Partitions are read side by side; the values go through one channel.
	inner, cancel := context.WithCancel(ctx)
	handler := saramaHandler{values: make(chan string)}
	result := make(chan error, 1)
	go func() {
		for inner.Err() == nil {
			if err := client.Consume(inner, []string{topic}, handler); err != nil {
				result <- err
				return
			}
		}
		result <- nil
	}()
	for {
		select {
		case value := <-handler.values:
			if done(value) {
				cancel()
				return errors.Join(<-result, client.Close())
			}
		case err := <-result:
			cancel()
			return errors.Join(err, ctx.Err())
		}
	}
}

type saramaHandler struct{ values chan string }

func (saramaHandler) Setup(ibm.ConsumerGroupSession) error   { return nil }
func (saramaHandler) Cleanup(ibm.ConsumerGroupSession) error { return nil }

func (h saramaHandler) ConsumeClaim(session ibm.ConsumerGroupSession, claim ibm.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			select {
			case h.values <- string(message.Value):
				session.MarkMessage(message, "")
			case <-session.Context().Done():
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}
