package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirnet/weir/engine"
	"github.com/weirnet/weir/session"
	"github.com/weirnet/weir/session/frame"
	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/rpc"
)

// errSoldOut is an error that both ends know.
var errSoldOut = &message.Error{Code: message.CodeOwn + 1, Text: "sold out"}

// shop answers "order".
func shop() *rpc.Peer {
	p, err := rpc.New()
	if err != nil {
		panic(err)
	}
	p.Handle("order", func(r *rpc.Request) (*message.Message, error) {
		count, err := r.Message.GetInt("count")
		switch {
		case err != nil:
			return nil, err
		case count > 10:
			return nil, errSoldOut
		}
		return r.Message.Reply().Set("price", message.Int(3*count)), nil
	})
	return p
}

// order is a request.
func order(count int) *message.Message {
	return message.New("order").Set("count", message.Int(count))
}

// A server and a client, which here share an engine.
func Example() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(shop(), frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	customer, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := e.Dial(ctx, "tcp", l.Addr().String(), session.Framed(customer, frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, count := range []int{2, 11} {
		answer, err := customer.Call(ctx, s, order(count))
		switch {
		case errors.Is(err, errSoldOut):
			fmt.Println(count, "are too many")
		case err != nil:
			fmt.Println(err)
		default:
			price, _ := answer.GetInt("price")
			fmt.Println(count, "cost", price)
		}
	}
	_, err = customer.Call(ctx, s, message.New("order"))
	fmt.Println(errors.Is(err, message.CodeInvalid))
	// Output:
	// 2 cost 6
	// 11 are too many
	// true
}

// A client that comes back by itself. What was not sent may be tried again; what is in
// doubt should be only if doing it twice does no harm.
func ExamplePeer_Call() {
	e, err := engine.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(shop(), frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	customer, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := e.NewClient("tcp", l.Addr().String(), session.Framed(customer, frame.Default()))
	if err != nil {
		fmt.Println(err)
		return
	}
	c.Start() // the first order waits for the connection

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		answer, err := customer.Call(ctx, c, order(3))
		switch {
		case ctx.Err() == nil && errors.Is(err, rpc.ErrUnsent):
			continue
		case errors.Is(err, rpc.ErrInDoubt):
			fmt.Println("perhaps they were ordered:", err)
		case err != nil:
			fmt.Println("they were not ordered:", err)
		default:
			price, _ := answer.GetInt("price")
			fmt.Println("ordered for", price)
		}
		return
	}
	// Output:
	// ordered for 9
}

// connected are two peers on one engine, and the session of the first.
func connected(client, server *rpc.Peer) (*session.Session, func()) {
	e, err := engine.New()
	if err != nil {
		panic(err)
	}
	l, err := e.Listen("tcp", "127.0.0.1:0", session.Framed(server, frame.Default()))
	if err != nil {
		panic(err)
	}
	s, err := e.Dial(context.Background(), "tcp", l.Addr().String(), session.Framed(client, frame.Default()))
	if err != nil {
		panic(err)
	}
	return s, func() { _ = e.Close() }
}

// Calls that nobody waits for, which handlers may make, too.
func ExamplePeer_Go() {
	customer, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, stop := connected(customer, shop())
	defer stop()

	prices := make(chan int64)
	for count := range 3 {
		err := customer.Go(context.Background(), s, order(count), func(answer *message.Message, err error) {
			if err != nil {
				fmt.Println(err)
			}
			price, _ := answer.GetInt("price")
			prices <- price
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(<-prices, <-prices, <-prices)
	// Output:
	// 0 3 6
}

// A request is answered by somebody else, when it suits him.
func ExampleRequest_Later() {
	server, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := make(chan *rpc.Responder)
	server.Handle("order", func(r *rpc.Request) (*message.Message, error) {
		a := r.Later()
		go func() { orders <- a }()
		return nil, nil
	})
	go func() { // the cook
		for a := range orders {
			if err := a.Reply(message.New("dish")); err != nil {
				fmt.Println(err) // the guest has gone
			}
		}
	}()
	defer close(orders)

	guest, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, stop := connected(guest, server)
	defer stop()
	answer, err := guest.Call(context.Background(), s, message.New("order"))
	fmt.Println(answer.Type, err)
	// Output:
	// dish <nil>
}

// A handler that takes its time is told when nobody waits for it any more.
func ExamplePeer_HandleApart() {
	server, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	begun, why := make(chan struct{}), make(chan error)
	server.HandleApart("search", func(r *rpc.Request) (*message.Message, error) {
		close(begun)
		<-r.Context().Done()
		why <- context.Cause(r.Context())
		return nil, r.Context().Err()
	})
	client, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, stop := connected(client, server)
	defer stop()

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-begun
		cancel()
	}()
	_, err = client.Call(ctx, s, message.New("search"))
	fmt.Println(errors.Is(err, context.Canceled), errors.Is(err, rpc.ErrInDoubt))
	fmt.Println(<-why)
	// Output:
	// true true
	// rpc: cancelled by the peer
}

// Is the other end there, and how far away is it?
func ExamplePeer_Ping() {
	client, err := rpc.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, stop := connected(client, shop())
	defer stop()
	trip, err := client.Ping(context.Background(), s)
	fmt.Println(trip > 0, err, s.Stats().RTT == trip)
	// Output:
	// true <nil> true
}
