// An echo server on Asio, as its documentation suggests for several processors: an
// io_context per thread, each connection on one of them, in turn. It serves on a free
// port of 127.0.0.1 and says to the benchmarks what package serving says.
//
//	echo THREADS
//
// A connection's buffer starts with 4 KiB and doubles with each read that fills it, up to
// 64 KiB, as that of the server on package net does.

#include <asio.hpp>

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using asio::ip::tcp;

namespace {

constexpr std::size_t buffer_min = 4 << 10;
constexpr std::size_t buffer_max = 64 << 10;

// A connection belongs to the thread of its io_context. It lives as long as an operation
// is under way.
class connection : public std::enable_shared_from_this<connection> {
public:
	explicit connection(tcp::socket socket) : socket_(std::move(socket)), buffer_(buffer_min) {}

	void read() {
		auto self = shared_from_this();
		socket_.async_read_some(asio::buffer(buffer_), [this, self](std::error_code error, std::size_t n) {
			if (!error) write(n);
		});
	}

private:
	void write(std::size_t n) {
		auto self = shared_from_this();
		asio::async_write(socket_, asio::buffer(buffer_, n), [this, self, n](std::error_code error, std::size_t) {
			if (error) return;
			if (n == buffer_.size() && n < buffer_max) buffer_.resize(2 * n);
			read();
		});
	}

	tcp::socket socket_;
	std::vector<char> buffer_;
};

class server {
public:
	explicit server(int threads) {
		for (int i = 0; i < threads; ++i) {
			contexts_.push_back(std::make_unique<asio::io_context>(1)); // one thread runs it
			work_.push_back(asio::make_work_guard(*contexts_.back()));
		}
		acceptor_ = std::make_unique<tcp::acceptor>(*contexts_[0], tcp::endpoint(asio::ip::address_v4::loopback(), 0));
	}

	unsigned short port() const { return acceptor_->local_endpoint().port(); }

	void start() {
		accept();
		for (auto& context : contexts_) std::thread([&context] { context->run(); }).detach();
	}

private:
	void accept() {
		auto& context = *contexts_[accepted_++ % contexts_.size()];
		acceptor_->async_accept(context, [this](std::error_code error, tcp::socket socket) {
			if (error) {
				std::cerr << "asio: accept: " << error.message() << std::endl;
				std::exit(1);
			}
			socket.set_option(tcp::no_delay(true), error);
			auto executor = socket.get_executor();
			auto c = std::make_shared<connection>(std::move(socket));
			asio::post(executor, [c] { c->read(); });
			accept();
		});
	}

	std::vector<std::unique_ptr<asio::io_context>> contexts_;
	std::vector<asio::executor_work_guard<asio::io_context::executor_type>> work_;
	std::unique_ptr<tcp::acceptor> acceptor_;
	std::size_t accepted_ = 0;
};

long long nanoseconds(const timeval& t) { return t.tv_sec * 1'000'000'000LL + t.tv_usec * 1'000LL; }

long long cpu() {
	rusage used{};
	getrusage(RUSAGE_SELF, &used);
	return nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime);
}

long long resident() {
	std::ifstream statm("/proc/self/statm");
	long long total = 0, pages = 0;
	statm >> total >> pages;
	return pages * sysconf(_SC_PAGESIZE);
}

std::string version() {
	return "asio " + std::to_string(ASIO_VERSION / 100000) + "." + std::to_string(ASIO_VERSION / 100 % 1000) + "." +
		std::to_string(ASIO_VERSION % 100) + ", g++ " + __VERSION__;
}

}  // namespace

int main(int argc, char** argv) {
	int threads = argc == 2 ? std::atoi(argv[1]) : 0;
	if (threads < 1) {
		std::cout << R"({"error":"asio: want a number of threads"})" << std::endl;
		return 1;
	}
	server s(threads);
	s.start();
	std::cout << R"({"address":"127.0.0.1:)" << s.port() << R"(","version":")" << version() << "\"}" << std::endl;
	for (std::string command; std::getline(std::cin, command);) {
		if (command == "use") {
			std::cout << "{\"cpu_ns\":" << cpu() << ",\"resident\":" << resident() << "}" << std::endl;
		} else if (command == "mem" || command == "gc") {
			if (command == "gc") malloc_trim(0);
			std::cout << "{\"memory\":{\"resident\":" << resident() << "}}" << std::endl;
		} else {
			std::cout << R"({"error":"asio: unknown command"})" << std::endl;
		}
	}
	std::_Exit(0);  // the threads still run
}
