// River: InsertManyFast in bulk (COPY), a client of many workers that completes jobs in batches, woken by LISTEN/NOTIFY.
//
// It answers one JSON array per line, such as ["drain", 20000, 240], with one JSON object, as peer.mjs does for Node.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	chunk      = 5000
	maxWorkers = 2000
	// The shortest pause between two fetches, and between two notifications of a producer. The default is 100 ms.
	cooldown = 2 * time.Millisecond
	// Long enough for a queue that missed a notification to poll, which is a slow start and not a failure.
	startPatience = 40 * time.Second
)

type noopArgs struct {
	N int `json:"n"`
}

func (noopArgs) Kind() string { return "noop" }

type noopWorker struct {
	river.WorkerDefaults[noopArgs]
	handle func(number int)
}

func (worker *noopWorker) Work(_ context.Context, job *river.Job[noopArgs]) error {
	worker.handle(job.Args.N)
	return nil
}

type contestant struct {
	pool *pgxpool.Pool
	// Inserts jobs, and works none.
	producer *river.Client[pgx.Tx]
}

type drained struct {
	Seconds float64 `json:"seconds"`
	Handled int     `json:"handled"`
	Tasks   int     `json:"tasks"`
	Calls   int     `json:"calls"`
}

func main() {
	var queue contestant
	answers := json.NewEncoder(os.Stdout)
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		result, err := queue.answer(commands.Bytes())
		answer := map[string]any{"result": result}
		if err != nil {
			answer = map[string]any{"failed": err.Error()}
		}
		if err := answers.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
}

func (queue *contestant) answer(line []byte) (any, error) {
	var command []json.RawMessage
	if err := json.Unmarshal(line, &command); err != nil {
		return nil, err
	}
	var what string
	if err := json.Unmarshal(command[0], &what); err != nil {
		return nil, err
	}
	if what == "prepare" {
		var url string
		if err := json.Unmarshal(command[1], &url); err != nil {
			return nil, err
		}
		return nil, queue.prepare(url)
	}
	numbers := make([]float64, len(command)-1)
	for index := range numbers {
		if err := json.Unmarshal(command[index+1], &numbers[index]); err != nil {
			return nil, err
		}
	}
	switch what {
	case "create":
		return queue.create(int(numbers[0]))
	case "drain":
		return queue.drain(int(numbers[0]), seconds(numbers[1]))
	case "latency":
		return queue.latency(int(numbers[0]), seconds(numbers[1]))
	}
	return nil, fmt.Errorf("unknown command %s", what)
}

func (queue *contestant) prepare(url string) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: logger()})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	queue.pool = pool
	queue.producer, err = river.NewClient(riverpgxv5.New(pool), &river.Config{FetchCooldown: cooldown, Logger: logger()})
	return err
}

func (queue *contestant) create(count int) (float64, error) {
	began := time.Now()
	for from := 0; from < count; from += chunk {
		jobs := make([]river.InsertManyParams, 0, chunk)
		for number := from; number < min(from+chunk, count); number++ {
			jobs = append(jobs, river.InsertManyParams{Args: noopArgs{number}})
		}
		if _, err := queue.producer.InsertManyFast(context.Background(), jobs); err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds(), nil
}

func (queue *contestant) drain(count int, patience time.Duration) (*drained, error) {
	var lock sync.Mutex
	var began time.Time
	var calls int
	seen := make(map[int]struct{}, count)
	enough := make(chan struct{})
	client, err := queue.start(func(number int) {
		lock.Lock()
		defer lock.Unlock()
		if calls == 0 {
			began = time.Now()
		}
		calls++
		seen[number] = struct{}{}
		if calls == count {
			close(enough)
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-enough:
	case <-time.After(patience):
	}
	// Returns after the commit of all pending completions.
	if err := client.Stop(context.Background()); err != nil {
		return nil, err
	}
	return &drained{time.Since(began).Seconds(), calls, len(seen), calls}, nil
}

func (queue *contestant) latency(count int, pause time.Duration) ([]float64, error) {
	started := make(chan time.Time, 1)
	client, err := queue.start(func(int) { started <- time.Now() })
	if err != nil {
		return nil, err
	}
	taken := make([]float64, 0, count)
	for number := range count {
		began := time.Now()
		if _, err := queue.producer.Insert(context.Background(), noopArgs{number}, nil); err != nil {
			return nil, err
		}
		select {
		case at := <-started:
			taken = append(taken, at.Sub(began).Seconds())
		case <-time.After(startPatience):
			return nil, errors.New("a job did not start in time")
		}
		time.Sleep(pause)
	}
	return taken, client.Stop(context.Background())
}

// start returns a running client that calls handle for each job.
func (queue *contestant) start(handle func(number int)) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{handle: handle})
	client, err := river.NewClient(riverpgxv5.New(queue.pool), &river.Config{
		FetchCooldown: cooldown,
		Logger:        logger(),
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}},
		Workers:       workers,
	})
	if err != nil {
		return nil, err
	}
	return client, client.Start(context.Background())
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}
