// The Go clients: each produces to and consumes from each topic in a group, with each codec.
// What was read is printed as TOPIC CODEC VALUE.
//
// Usage: clients franz-go|sarama|kafka-go BOOTSTRAP TOPICS CODECS COUNT TAG
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A client as the test sees it.
type client interface {
	// produce sends the values with the codec and waits until all are acknowledged.
	produce(ctx context.Context, topic, codec string, values []string) error
	// consume hands out the values of a topic in a group until done says so, commits, and leaves the group.
	consume(ctx context.Context, topic, group string, done func(value string) bool) error
}

func main() {
	name, bootstrap := os.Args[1], strings.Split(os.Args[2], ",")
	topics, codecs := strings.Split(os.Args[3], ","), strings.Split(os.Args[4], ",")
	count, err := strconv.Atoi(os.Args[5])
	check(err)
	tag := os.Args[6]
	clients := map[string]client{
		"franz-go": franz{bootstrap},
		"sarama":   sarama{bootstrap},
		"kafka-go": kafkaGo{bootstrap},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 80*time.Second)
	defer cancel()
	for _, topic := range topics {
		check(run(ctx, clients[name], topic, codecs, count, tag, name))
	}
}

func run(ctx context.Context, c client, topic string, codecs []string, count int, tag, name string) error {
	for _, codec := range codecs {
		values := make([]string, count)
		for i := range values {
			values[i] = fmt.Sprintf("%s-%s-%d", tag, codec, i)
		}
		if err := c.produce(ctx, topic, codec, values); err != nil {
			return fmt.Errorf("%s: produce to %s with %s: %w", name, topic, codec, err)
		}
	}
	left := count * len(codecs)
	err := c.consume(ctx, topic, name+"-"+tag+"-"+topic, func(value string) bool {
		if strings.HasPrefix(value, tag+"-") {
			fmt.Println(topic, strings.Split(value, "-")[1], value)
			left--
		}
		return left <= 0
	})
	if err != nil {
		return fmt.Errorf("%s: consume from %s, %d missing: %w", name, topic, left, err)
	}
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
